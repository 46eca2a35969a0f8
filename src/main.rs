//! The program: parses, chooses a face, prints the error and maps the exit code. Everything else is in the library.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use hearken::config::{Cli, Paths, Request, Settings, Stdout};
use hearken::error::{ErrorKind, Result};
use hearken::{bench, doctor, engine, eval, headless, history, hub, trace};

/// Bad arguments, no model, unreadable input (CONTRACT.md); clap uses the same for what it refuses.
const COULD_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    // SAFETY: nothing has been started yet.
    unsafe { hearken::model::set_candle_threads() };
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // `eprintln!` would panic when nobody reads stderr any more.
            let _ = writeln!(io::stderr(), "hearken: {error}");
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let stdout = if io::stdout().is_terminal() { Stdout::Terminal } else { Stdout::Redirected };
    match cli.request(&Paths::find()?, stdout)? {
        Request::Window(settings) => window(*settings)?,
        Request::Listen { settings, format } => {
            let outcome = headless::run(engine::start(*settings)?, format, io::stdout(), io::stderr())?;
            return Ok(ExitCode::from(outcome.exit_code()));
        }
        Request::Devices(format) => headless::print_devices(format, io::stdout())?,
        Request::Trace(options) => trace::run(&options)?,
        Request::Bench(options) => bench::run(&options)?,
        Request::Eval(request) => return eval::run(&request, io::stdout(), io::stderr()).map(|done| ExitCode::from(done.exit_code())),
        Request::History(asked) => history::run(&asked, &Paths::find()?, io::stdout(), io::stderr())?,
        Request::Model(task) => return hub::run(&task, &Paths::find()?).map(|outcome| ExitCode::from(outcome.exit_code())),
        Request::Doctor(settings) => return doctor::run(&settings, io::stdout()).map(|health| ExitCode::from(health.exit_code())),
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "window")]
fn window(settings: Settings) -> Result<()> {
    let settings = hearken::ui::resumed_settings(settings);
    match hearken::ui::SingleInstance::claim(&settings.paths)? {
        Some(instance) => hearken::ui::run(engine::start_patiently(settings.clone())?, settings, &instance),
        None => Ok(()), // Another Hearken listens already, and its window has come to the front.
    }
}

#[cfg(not(feature = "window"))]
fn window(_: Settings) -> Result<()> {
    let why = "this Hearken was built without a window: `hearken listen` listens without one";
    Err(hearken::error::Error::new(ErrorKind::Arguments, why))
}
