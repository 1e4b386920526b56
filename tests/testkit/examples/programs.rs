//! Builds the programs that tests start from the Go modules below `tests/`, except those of the node tests, so that no
//! test runs beside a build: `cargo run -p testkit --example programs`. Tests build what is missing themselves.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    testkit::provide_programs()?;
    Ok(())
}
