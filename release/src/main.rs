//! Makes one file of a release from others. `release/run` calls it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser};
use release::archive::{self, File};
use release::{bundle, changelog, image, krew, links, provenance, sbom, sha256, site, time, version};

/// Makes one file of a release from others.
#[derive(Parser)]
enum Command {
    /// Checks that the version is the same wherever it is written, and prints it.
    Version {
        /// The tag that is released; it must be the version with a `v` before it.
        #[arg(long)]
        tag: Option<String>,
    },
    /// Prints what the changelog says about the version.
    Notes {
        /// Prints what it says about the unreleased version if it says nothing about this one.
        #[arg(long)]
        or_unreleased: bool,
    },
    /// Writes an archive (tar, gzip) of files.
    Archive {
        #[command(flatten)]
        output: Output,
        /// Files, each as PATH=FILE with the path in the archive; a folder stands for the files in it.
        #[arg(required = true, value_parser = pair)]
        files: Vec<(String, String)>,
    },
    /// Writes the image as an archive of an OCI layout, and prints its digest.
    Image {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        source: Source,
        /// Programs, each as ARCHITECTURE=FILE with the architecture as Go names it.
        #[arg(required = true, value_parser = pair)]
        programs: Vec<(String, String)>,
    },
    /// Writes the bill of materials of the tree on standard input, which `cargo tree --prefix depth --format '{p}|{l}'` prints.
    Sbom {
        #[command(flatten)]
        output: Output,
        /// Package URLs of what is shipped and not in the tree.
        others: Vec<String>,
    },
    /// Writes the provenance of the files that the checksums on standard input name.
    Provenance {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        source: Source,
        /// Who or what builds, as a URI.
        #[arg(long)]
        builder: String,
        /// What else the build was told, as NAME=VALUE.
        #[arg(long = "parameter", value_parser = pair)]
        parameters: Vec<(String, String)>,
        /// Tools, each as NAME=VERSION.
        #[arg(value_parser = pair)]
        tools: Vec<(String, String)>,
    },
    /// Writes the documentation as a book, which `mdbook build` then renders.
    Site {
        /// Folder of the book.
        #[arg(long)]
        output: PathBuf,
        /// Where the files of the project can be read, such as `https://example.com/project/blob/v1`.
        #[arg(long)]
        sources: String,
    },
    /// Checks that each link of a rendered site to itself leads somewhere.
    Links {
        /// Folder of the site.
        folder: PathBuf,
    },
    /// Writes the krew manifest of the plugin.
    Krew {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        source: Source,
        /// Where the files of the release will be.
        #[arg(long)]
        downloads: String,
        /// Archives of the plugin, each as ARCHITECTURE=FILE.
        #[arg(required = true, value_parser = pair)]
        archives: Vec<(String, String)>,
    },
    /// Writes the bundle of the Operator Lifecycle Manager from the objects on standard input, which `kubectl kustomize deploy`
    /// prints, and says which of them are not in it.
    Bundle(BundleArgs),
}

#[derive(Args)]
struct Output {
    /// File to write.
    #[arg(long)]
    output: PathBuf,
    /// Time of the commit, in seconds since 1970.
    #[arg(long, env = "SOURCE_DATE_EPOCH")]
    epoch: u32,
}

#[derive(Args)]
struct Source {
    /// URL of the source repository.
    #[arg(long)]
    source: String,
    /// Commit that is built.
    #[arg(long)]
    revision: String,
}

#[derive(Args)]
struct BundleArgs {
    /// Folder of the bundle.
    #[arg(long)]
    output: PathBuf,
    /// Time of the commit, in seconds since 1970.
    #[arg(long, env = "SOURCE_DATE_EPOCH")]
    epoch: u32,
    /// URL of the source repository.
    #[arg(long)]
    source: String,
    /// Where the files of the project can be read, such as `https://example.com/project/blob/v1`.
    #[arg(long)]
    sources: String,
    /// Architectures of the image, as Go names them.
    #[arg(required = true)]
    architectures: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    File(PathBuf, io::Error),
    #[error("standard input: {0}")]
    Input(io::Error),
    #[error("no archive can be made: {0}")]
    Archive(io::Error),
    #[error("Cargo.toml has no version in [workspace.package]")]
    NoVersion,
    #[error("the version is {0} in Cargo.toml; change these places, or Cargo.toml:\n{1}")]
    Versions(String, String),
    #[error("the tag {0} is not v{1}, the version in Cargo.toml")]
    Tag(String, String),
    #[error("CHANGELOG.md says nothing below a heading \"## [{0}]\"")]
    NoNotes(String),
    #[error("{0} is given twice")]
    Twice(String),
    #[error("{0} seconds after 1970 is no time that can be written")]
    Time(u32),
    #[error("standard input does not have the format of sha256sum")]
    Sums,
    #[error("these links lead nowhere:\n{0}")]
    Links(String),
    #[error(transparent)]
    Tree(#[from] sbom::Error),
    #[error("no bundle can be made: {0}")]
    Bundle(#[from] bundle::Error),
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs in the root of the project.
fn run(command: Command) -> Result<(), Error> {
    let manifest = text("Cargo.toml")?;
    let version = version::of_workspace(&manifest).ok_or(Error::NoVersion)?;
    match command {
        Command::Version { tag } => {
            check(version, tag)?;
            println!("{version}");
        }
        Command::Notes { or_unreleased } => {
            let changelog = text("CHANGELOG.md")?;
            let unreleased = || changelog::notes(&changelog, "Unreleased").filter(|_| or_unreleased);
            let notes = changelog::notes(&changelog, version).or_else(unreleased);
            println!("{}", notes.ok_or_else(|| Error::NoNotes(version.to_owned()))?);
        }
        Command::Archive { output, files } => {
            let mut packed = Vec::new();
            for (path, file) in files {
                collect(path, Path::new(&file), &mut packed)?;
            }
            let archive = archive::tar(packed, output.epoch.into()).and_then(|tar| archive::gzip(&tar));
            output.write(archive.map_err(Error::Archive)?)?;
        }
        Command::Image {
            output,
            source,
            programs,
        } => {
            let programs = read(programs)?;
            let description = image::Description {
                version,
                revision: &source.revision,
                source: &source.source,
                created: &output.created()?,
                epoch: output.epoch.into(),
            };
            let image = image::make(description, programs).map_err(Error::Archive)?;
            output.write(image.archive)?;
            println!("{}", image.digest);
        }
        Command::Sbom { output, others } => {
            let lock = text("Cargo.lock")?;
            let sbom = sbom::cyclone_dx(&input()?, &lock, &others, &output.created()?)?;
            output.write(format!("{sbom:#}\n"))?;
        }
        Command::Provenance {
            output,
            source,
            builder,
            parameters,
            tools,
        } => {
            let build = provenance::Build {
                source: &source.source,
                revision: &source.revision,
                version,
                lock: &sha256(&bytes(Path::new("Cargo.lock"))?),
                builder: &builder,
                parameters: &parameters,
                tools: &tools,
            };
            let statement = provenance::statement(build, &input()?).ok_or(Error::Sums)?;
            output.write(format!("{statement:#}\n"))?;
        }
        Command::Site { output, sources } => book(&output, &sources)?,
        Command::Links { folder } => follow(&folder)?,
        Command::Krew {
            output,
            source,
            downloads,
            archives,
        } => {
            let mut known = Vec::new();
            for (architecture, file) in &archives {
                let file = Path::new(file);
                known.push(krew::Archive {
                    architecture: architecture.clone(),
                    name: file
                        .file_name()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned(),
                    sha256: sha256(&bytes(file)?),
                });
            }
            let manifest = krew::manifest(version, &source.source, &downloads, &known);
            output.write(format!("{manifest:#}\n"))?;
        }
        Command::Bundle(arguments) => bundle(&arguments, version)?,
    }
    Ok(())
}

fn check(version: &str, tag: Option<String>) -> Result<(), Error> {
    let differences = version::differences(Path::new("."), version)
        .map_err(|error| Error::File("a place of the version".into(), error))?;
    if !differences.is_empty() {
        return Err(Error::Versions(version.to_owned(), differences.join("\n")));
    }
    match tag {
        Some(tag) if tag.strip_prefix('v') != Some(version) => Err(Error::Tag(tag, version.to_owned())),
        _ => Ok(()),
    }
}

impl Output {
    fn created(&self) -> Result<String, Error> {
        time(self.epoch.into()).ok_or(Error::Time(self.epoch))
    }

    fn write(&self, content: impl AsRef<[u8]>) -> Result<(), Error> {
        put(&self.output, content)
    }
}

/// Writes a file, in a new folder if there is none.
fn put(file: &Path, content: impl AsRef<[u8]>) -> Result<(), Error> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(file, content));
    written.map_err(|error| Error::File(file.to_owned(), error))
}

/// Reads the files of pairs, each name once.
fn read(pairs: Vec<(String, String)>) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let mut contents = BTreeMap::new();
    for (name, file) in pairs {
        let content = bytes(Path::new(&file))?;
        if contents.insert(name.clone(), content).is_some() {
            return Err(Error::Twice(name));
        }
    }
    Ok(contents)
}

/// Writes the documentation as a book.
fn book(folder: &Path, sources: &str) -> Result<(), Error> {
    let summary = text("docs/SUMMARY.md")?;
    let pages = site::pages(&summary);
    let book = folder.join("src");
    put(&folder.join("book.toml"), text("docs/book.toml")?)?;
    put(&book.join("SUMMARY.md"), site::summary(&summary))?;
    for page in &pages {
        put(&book.join(page), site::page(page, &text(page)?, &pages, sources))?;
    }
    let mut pictures = Vec::new();
    collect(
        site::PICTURES.to_owned(),
        Path::new(site::PICTURES),
        &mut pictures,
    )?;
    for picture in pictures {
        put(&book.join(&picture.path), picture.content)?;
    }
    Ok(())
}

/// Writes the bundle of the Operator Lifecycle Manager.
fn bundle(arguments: &BundleArgs, version: &str) -> Result<(), Error> {
    let release = bundle::Release {
        version,
        source: &arguments.source,
        sources: &arguments.sources,
        created: &time(arguments.epoch.into()).ok_or(Error::Time(arguments.epoch))?,
        architectures: &arguments.architectures,
    };
    let texts = bundle::Texts::read(Path::new("."))?;
    let bundle = bundle::make(&input()?, &texts, release)?;
    for file in bundle.files {
        put(&arguments.output.join(&file.path), file.content)?;
    }
    for object in bundle.left_out {
        eprintln!("not in the bundle: {object}");
    }
    Ok(())
}

/// Follows the links of a rendered site.
fn follow(folder: &Path) -> Result<(), Error> {
    let mut found = Vec::new();
    collect(".".to_owned(), folder, &mut found)?;
    let mut files = BTreeSet::new();
    let mut pages = BTreeMap::new();
    for file in found {
        let path = file.path.trim_start_matches("./").to_owned();
        if Path::new(&path)
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            pages.insert(path.clone(), String::from_utf8_lossy(&file.content).into_owned());
        }
        files.insert(path);
    }
    let broken = links::broken(&files, &pages);
    if broken.is_empty() {
        println!("{} pages, every link leads somewhere", pages.len());
        return Ok(());
    }
    Err(Error::Links(broken.join("\n")))
}

/// Adds a file, or the files of a folder, below `path` of an archive.
fn collect(path: String, file: &Path, files: &mut Vec<File>) -> Result<(), Error> {
    let failed = |error| Error::File(file.to_owned(), error);
    if file.is_dir() {
        for entry in fs::read_dir(file).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            collect(format!("{path}/{}", name.to_string_lossy()), &entry.path(), files)?;
        }
        return Ok(());
    }
    let content = bytes(file)?;
    files.push(if is_program(file).map_err(failed)? {
        File::program(path, content)
    } else {
        File::new(path, content)
    });
    Ok(())
}

#[cfg(unix)]
fn is_program(file: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::metadata(file)?.permissions().mode() & 0o100 != 0)
}

#[cfg(not(unix))]
fn is_program(_: &Path) -> io::Result<bool> {
    Ok(false)
}

fn bytes(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|error| Error::File(file.to_owned(), error))
}

fn text(file: &str) -> Result<String, Error> {
    fs::read_to_string(file).map_err(|error| Error::File(file.into(), error))
}

fn input() -> Result<String, Error> {
    let mut input = String::new();
    io::stdin().read_to_string(&mut input).map_err(Error::Input)?;
    Ok(input)
}

fn pair(argument: &str) -> Result<(String, String), String> {
    let (name, value) = argument
        .split_once('=')
        .ok_or_else(|| format!("{argument} is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}
