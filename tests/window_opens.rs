//! The window opens whatever is wrong with the model, the settings, a folder or the history, and says what is wrong.
#![cfg(feature = "window")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod window_bench;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use egui_kittest::kittest::Queryable;
use hearken::config::{Cli, FileSpeed, HistoryPrefs, Paths, ReadOptions, Request, Settings, SourceChoice, StartState, Stdout};
use hearken::engine::{EngineHandle, start_patiently};
use hearken::error::ErrorKind;
use hearken::history::{HistoryCallbacks, HistoryHandle, HistoryState};
use hearken::protocol::{Command, Event, ModelChoice};
use hearken::transcript::Transcript;
use hearken::ui::{SingleInstance, starting_settings};

/// A fault of a home folder.
struct Fault {
    name: &'static str,
    /// Makes the fault in a home that holds an empty folder `config`.
    make: fn(&Path),
    /// The report of the fault.
    told: Told,
}

/// The place where the user learns of the fault.
enum Told {
    /// In a `problem` event that contains this text.
    ByEvent(&'static str),
    /// After a `model_failed` event for the chosen folder, in a `problem` event that contains this text and the folder; the starter listens.
    ByFallingBack(&'static str),
    /// In the window, in a text that contains this one.
    ByWindow(&'static str),
    /// By the state of the history.
    ByHistory,
    /// The fault costs nothing that the user would miss.
    Nowhere,
}

const FAULTS: [Fault; 19] = [
    Fault { name: "model folder that is missing", make: |home| choose_model(home, |_| {}), told: Told::ByFallingBack("/model") },
    Fault {
        name: "model folder with one foreign file",
        make: |home| {
            choose_model(home, |model| {
                fs::create_dir(model).unwrap();
                fs::write(model.join("holiday.txt"), "sun").unwrap();
            });
        },
        told: Told::ByFallingBack("missing"),
    },
    Fault {
        name: "model folder that is a file",
        make: |home| choose_model(home, |model| fs::write(model, "x").unwrap()),
        told: Told::ByFallingBack("/model"),
    },
    Fault {
        name: "model folder with half of the files",
        make: |home| {
            choose_model(home, |model| {
                copy_starter(model);
                fs::remove_file(model.join("model-00001-of-00001.safetensors")).unwrap();
            });
        },
        told: Told::ByFallingBack("safetensors"),
    },
    Fault {
        name: "model with damaged weights",
        make: |home| {
            choose_model(home, |model| {
                copy_starter(model);
                fs::write(model.join("model-00001-of-00001.safetensors"), vec![7; 5_000]).unwrap();
            });
        },
        told: Told::ByFallingBack("safetensors"),
    },
    Fault {
        name: "model with a damaged vocabulary",
        make: |home| {
            choose_model(home, |model| {
                copy_starter(model);
                fs::write(model.join("tokenizer.json"), "{").unwrap();
            });
        },
        told: Told::ByFallingBack("tokenizer.json"),
    },
    Fault {
        name: "model that was never downloaded",
        make: |home| write_settings(home, "model = \"3b\"\n"),
        told: Told::ByEvent("not here"),
    },
    Fault {
        name: "catalogue that is no TOML",
        make: |home| {
            write_settings(home, "model = \"3b\"\n");
            fs::write(home.join("config/catalog.toml"), "[[[").unwrap();
        },
        told: Told::ByEvent("the starter listens instead"),
    },
    Fault { name: "settings that are no TOML", make: |home| write_settings(home, "= \u{1}[[\n"), told: Told::ByWindow("settings.toml") },
    Fault {
        name: "settings that are no text",
        make: |home| fs::write(home.join("config/settings.toml"), [0xff, 0xfe, 0]).unwrap(),
        told: Told::ByWindow("settings.toml"),
    },
    Fault {
        name: "settings that are a folder",
        make: |home| fs::create_dir(home.join("config/settings.toml")).unwrap(),
        told: Told::ByWindow("settings.toml"),
    },
    Fault {
        name: "modes that are no TOML",
        make: |home| fs::write(home.join("config/modes.toml"), "mode mode").unwrap(),
        told: Told::ByWindow("modes.toml"),
    },
    Fault {
        name: "mode whose instruction clip is missing",
        make: |home| {
            let mode = "[[mode]]\nname = \"kettle\"\ninstruction = \"Name the kettle.\"\nclip = \"kettle.wav\"\npanel = \"sounds\"\n";
            fs::write(home.join("config/modes.toml"), mode).unwrap();
            write_settings(home, "modes = [\"dialog\", \"kettle\"]\n");
        },
        told: Told::ByWindow("kettle"),
    },
    Fault {
        name: "mode whose instruction clip is no sound",
        make: |home| {
            let mode = "[[mode]]\nname = \"kettle\"\ninstruction = \"Name the kettle.\"\nclip = \"kettle.wav\"\npanel = \"sounds\"\n";
            fs::write(home.join("config/modes.toml"), mode).unwrap();
            fs::create_dir(home.join("config/instructions")).unwrap();
            fs::write(home.join("config/instructions/kettle.wav"), "x").unwrap();
            write_settings(home, "modes = [\"dialog\", \"kettle\"]\n");
        },
        told: Told::ByEvent("kettle"),
    },
    Fault {
        name: "history that is a folder",
        make: |home| fs::create_dir_all(home.join("data/history.db")).unwrap(),
        told: Told::ByHistory,
    },
    Fault { name: "data folder that is a file", make: |home| fs::write(home.join("data"), "x").unwrap(), told: Told::ByHistory },
    Fault { name: "cache folder that is a file", make: |home| fs::write(home.join("cache"), "x").unwrap(), told: Told::Nowhere },
    Fault {
        name: "prompt caches that are damaged",
        make: |home| {
            let engine = start_patiently(settings(home), &[]);
            assert!(engine.events().iter().any(|event| matches!(event, Event::SessionFinished { .. })));
            drop(engine);
            for entry in fs::read_dir(home.join("cache/openings")).unwrap() {
                fs::write(entry.unwrap().path(), "x").unwrap();
            }
        },
        told: Told::Nowhere,
    },
    Fault {
        name: "configuration folder that is a file",
        make: |home| {
            fs::remove_dir(home.join("config")).unwrap();
            fs::write(home.join("config"), "x").unwrap();
        },
        told: Told::Nowhere,
    },
];

fn write_settings(home: &Path, text: &str) {
    fs::write(home.join("config/settings.toml"), text).unwrap();
}

/// Chooses the model folder `model` of the home, after `make` has made it.
fn choose_model(home: &Path, make: fn(&Path)) {
    let model = home.join("model");
    make(&model);
    write_settings(home, &format!("model = {:?}\n", model.display().to_string()));
}

fn copy_starter(to: &Path) {
    let starter = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter");
    for name in fs::read_dir(&starter).unwrap().map(|entry| entry.unwrap().file_name()) {
        let (from, to) = (starter.join(&name), to.join(&name));
        if from.is_dir() {
            fs::create_dir_all(&to).unwrap();
            fs::copy(from.join("config.json"), to.join("config.json")).unwrap();
        } else {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        }
    }
}

/// Returns the settings of a start without arguments in the home, which hears a file in place of a microphone.
fn settings(home: &Path) -> Settings {
    let Request::Window(mut settings) =
        Cli::try_parse_from(["hearken"]).unwrap().request(&Paths::inside(home), Stdout::Redirected).unwrap()
    else {
        panic!("no window")
    };
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wav/d1_speech_7p3s.wav");
    settings.source =
        SourceChoice::Files { paths: vec![file], reading: ReadOptions::default(), gap_secs: 0.0, speed: FileSpeed::Unthrottled };
    *settings
}

/// Takes the events of a session to its end.
fn listen(engine: &EngineHandle) -> Vec<Event> {
    engine.events().iter().collect()
}

/// Returns the texts of the window on `engine`.
fn window_texts(engine: EngineHandle, settings: Settings) -> Vec<String> {
    let mut harness = window_bench::window([1_180.0, 740.0], engine, settings);
    for _ in 0..4 {
        harness.step();
    }
    harness.query_all_by_label_contains("").map(|node| format!("{node:?}")).collect()
}

fn problems(events: &[Event]) -> Vec<&str> {
    events.iter().filter_map(|event| if let Event::Problem { message, .. } = event { Some(message.as_str()) } else { None }).collect()
}

#[test]
fn window_opens_and_listens_whatever_is_wrong_and_says_it() {
    for Fault { name, make, told } in FAULTS {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("config")).unwrap();
        make(home.path());
        let settings = settings(home.path());
        let events = listen(&start_patiently(settings.clone(), &[]));
        assert!(matches!(&events[0], Event::SessionStarted { model, .. } if model == "starter"), "{name}: {events:?}");
        assert!(matches!(events.last(), Some(Event::SessionFinished { chunks: 1.., .. })), "{name}: {events:?}");
        let told_of = |text: &str| problems(&events).iter().any(|message| message.contains(text));
        match told {
            Told::ByEvent(text) => assert!(told_of(text), "{name}: {events:?}"),
            Told::ByFallingBack(text) => {
                let folder = home.path().join("model");
                assert!(told_of(text) && told_of(folder.to_str().unwrap()), "{name}: {:?}", problems(&events));
                let mut transcript = Transcript::new([].into());
                events.iter().for_each(|event| transcript.apply(event));
                let failure = transcript.model_failure.expect(name);
                assert_eq!((failure.choice, transcript.model.as_str()), (ModelChoice::Dir(folder), "starter"), "{name}");
                assert!(failure.problem.is_some_and(|(_, message, _)| message.contains(text)), "{name}");
            }
            Told::ByHistory => {
                let callbacks = HistoryCallbacks { send_command: Box::new(|_| true), on_change: Box::new(|| ()) };
                let history = HistoryHandle::start(&settings.paths, HistoryPrefs::read(&settings.paths).0, [].into(), callbacks);
                // Nothing is opened before there are words to store.
                events.iter().for_each(|event| history.sink().record(event));
                let until = Instant::now() + Duration::from_secs(5);
                while !matches!(history.status().state, HistoryState::Failing(_)) {
                    assert!(Instant::now() < until, "{name}: {:?}", history.status());
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            Told::ByWindow(_) | Told::Nowhere => {}
        }
        let texts = window_texts(start_patiently(settings.clone(), &[]), settings.clone());
        assert!(texts.len() > 10, "{name}: the window is there");
        if let Told::ByWindow(text) = told {
            assert!(texts.iter().any(|shown| shown.contains(text)), "{name}: {texts:?}");
        }
        // Nothing keeps the window from its place.
        let (instance, errors) = SingleInstance::claim_or_do_without(&settings.paths, &[]).unwrap();
        assert!(instance.is_some() && errors.is_empty() != name.starts_with("cache"), "{name}: {errors:?}");
    }
}

#[test]
fn session_starts_paused_until_the_user_was_welcomed() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("config")).unwrap();
    assert_eq!(starting_settings(settings(home.path())).start, StartState::Paused);
    for (text, state) in [
        ("[window]\nwelcomed = true\n", StartState::Listening),
        ("[window]\nwelcomed = false\n", StartState::Paused),
        ("[[[", StartState::Paused),
    ] {
        write_settings(home.path(), text);
        assert_eq!(starting_settings(settings(home.path())).start, state, "{text}");
    }
}

#[test]
fn session_that_starts_paused_hears_nothing_before_it_is_resumed() {
    let home = tempfile::tempdir().unwrap();
    let engine = start_patiently(Settings { start: StartState::Paused, ..settings(home.path()) }, &[]);
    assert!(engine.meters().read().paused, "it is never seen as listening");
    std::thread::sleep(Duration::from_secs(1));
    let before: Vec<Event> = engine.events().try_iter().collect();
    assert!(matches!(&before[..], [Event::SessionStarted { .. }, Event::Paused { .. }]), "{before:?}");
    engine.send(Command::Resume);
    let after = listen(&engine);
    assert!(matches!(after[0], Event::Resumed { .. }) && matches!(after.last(), Some(Event::SessionFinished { chunks: 1.., .. })));
}

#[test]
fn session_that_cannot_start_at_all_is_a_window_that_says_why() {
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings(home.path());
    settings.source = SourceChoice::Files {
        paths: vec![home.path().join("none.wav")],
        reading: ReadOptions::default(),
        gap_secs: 0.0,
        speed: FileSpeed::Unthrottled,
    };
    let engine = start_patiently(settings.clone(), &[]);
    assert!(!engine.is_running());
    let events = listen(&engine);
    assert!(matches!(&events[..], [Event::SessionStarted { .. }, Event::Problem { .. }, Event::SessionFinished { .. }]), "{events:?}");
    assert!(problems(&events)[0].contains("none.wav"));
    assert!(window_texts(start_patiently(settings.clone(), &[]), settings).len() > 10);
}

#[test]
fn model_that_fails_when_it_is_chosen_leaves_the_present_one_listening() {
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings(home.path());
    if let SourceChoice::Files { speed, gap_secs, .. } = &mut settings.source {
        (*speed, *gap_secs) = (FileSpeed::Realtime, 60.0);
    }
    let engine = start_patiently(settings, &[]);
    let mut transcript = Transcript::new([].into());
    let mut until = |wanted: &dyn Fn(&Event) -> bool| loop {
        let event = engine.events().recv_timeout(Duration::from_secs(30)).expect("an event");
        transcript.apply(&event);
        if wanted(&event) {
            return transcript.clone();
        }
    };
    let broken = ModelChoice::Dir(home.path().join("broken"));
    fs::create_dir(home.path().join("broken")).unwrap();
    // The newest choice counts, whichever is loaded first.
    engine.send(Command::ChooseModel(ModelChoice::Starter));
    engine.send(Command::ChooseModel(broken.clone()));
    let after = until(&|event| matches!(event, Event::Problem { kind: ErrorKind::Model, .. }));
    let failure = after.model_failure.expect("the failure");
    let (_, message, _) = failure.problem.expect("its reason");
    assert!(message.contains("broken") && message.contains("starter goes on"), "{message}");
    assert_eq!((failure.choice, after.model_choice, after.model.as_str()), (broken, None, "starter"));
    until(&|event| matches!(event, Event::Decision { .. }));
    assert!(!engine.meters().read().loading);

    engine.send(Command::ChooseModel(ModelChoice::Starter));
    let after = until(&|event| matches!(event, Event::ModelChanged { .. }));
    assert_eq!((after.model_choice, after.model_failure), (Some(ModelChoice::Starter), None));
}
