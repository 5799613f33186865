//! The consortium's program: see `coordinator --help`.

fn main() -> std::process::ExitCode {
    coordinator::cli::main()
}
