//! The program: parses the command line, runs the request, prints the error and sets the exit code. Everything else is in the library.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use hearken::config::{Cli, Paths, Request, Settings, Stdout};
use hearken::console::Completion;
use hearken::error::{ErrorKind, Result};
use hearken::{bench, doctor, engine, eval, headless, history, hub, trace};

fn main() -> ExitCode {
    // SAFETY: no other thread runs yet.
    unsafe { hearken::model::set_candle_threads() };
    let completion = match run(Cli::parse()) {
        Ok(completion) => completion,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Completion::Clean,
        Err(error) => {
            // `eprintln!` would panic if nobody reads stderr any more.
            let _ = writeln!(io::stderr(), "hearken: {error}");
            Completion::CouldNotRun
        }
    };
    ExitCode::from(completion.exit_code())
}

fn run(cli: Cli) -> Result<Completion> {
    let stdout = if io::stdout().is_terminal() { Stdout::Terminal } else { Stdout::Redirected };
    let options = cli.window_options();
    match cli.request(&Paths::find()?, stdout)? {
        Request::Window(settings) => window(*settings, &options)?,
        Request::Listen { settings, format } => return headless::run(engine::start(*settings)?, format, io::stdout(), io::stderr()),
        Request::Devices(format) => headless::print_devices(format, io::stdout())?,
        Request::Trace(options) => trace::run(&options)?,
        Request::Bench(options) => bench::run(&options)?,
        Request::Eval(request) => return eval::run(&request, io::stdout(), io::stderr()),
        Request::History(request) => return history::run(&request, &Paths::find()?, io::stdout(), io::stderr()),
        Request::Model(request) => return hub::run(&request, &Paths::find()?),
        Request::Doctor(settings) => return doctor::run(&settings, io::stdout()),
    }
    Ok(Completion::Clean)
}

#[cfg(feature = "window")]
fn window(settings: Settings, options: &[&str]) -> Result<()> {
    let settings = hearken::ui::starting_settings(settings);
    let (instance, problems) = hearken::ui::SingleInstance::claim_or_do_without(&settings.paths, options)?;
    // Without a claim, another Hearken is running, and its window has come to the front.
    let Some(instance) = instance else { return Ok(()) };
    settings.check_recording()?;
    hearken::ui::run(engine::start_patiently(settings.clone(), &problems), settings, &instance)
}

#[cfg(not(feature = "window"))]
fn window(_: Settings, _: &[&str]) -> Result<()> {
    let why = "this Hearken was built without a window; `hearken listen` needs none";
    Err(hearken::error::Error::new(ErrorKind::Arguments, why))
}
