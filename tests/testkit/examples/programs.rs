//! Builds the programs that the tests use from the Go modules below `tests/`, so that no test runs beside a build:
//! `cargo run -p testkit --example programs`. Tests that are run without it build them themselves.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    testkit::provide_programs()?;
    Ok(())
}
