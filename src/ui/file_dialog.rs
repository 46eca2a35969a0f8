//! The file dialogs of the system: where to save an export, the clip of a mode, the folder of a model, audio files to hear. They answer later, so that the
//! window goes on meanwhile.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use crate::config::ExportForm;
use crate::supervise;

/// Time within which nobody has seen and closed a dialog. An empty answer within this time means that the system has no file dialog:
/// on Linux neither a desktop portal nor zenity.
const UNSEEN: Duration = Duration::from_millis(500);
/// Extensions of the audio files that Hearken reads.
const AUDIO_EXTENSIONS: [&str; 5] = ["wav", "flac", "mp3", "ogg", "m4a"];
/// Capacity of the channel of an answer: there is one.
const ONE_ANSWER: usize = 1;

/// A question to the user that a file dialog asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileQuestion {
    /// Path of an export.
    Export {
        /// Format of the export.
        form: ExportForm,
        /// Suggested path.
        suggested: PathBuf,
    },
    /// Audio file that is the spoken instruction of a mode.
    Clip,
    /// Folder that holds a model.
    ModelFolder,
    /// Audio files that are to be heard.
    Recordings,
}

/// The answer to a [`FileQuestion`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileAnswer {
    /// The user has chosen this path. Of an existing file the dialog has asked whether to replace it.
    Chosen(PathBuf),
    /// The user has chosen these files, in answer to [`FileQuestion::Recordings`].
    ChosenFiles(Vec<PathBuf>),
    /// The user has chosen nothing.
    Cancelled,
    /// The system has no file dialog; the user has to type a path.
    Missing,
}

/// A function that answers in place of the system, for tests.
type Script = Arc<dyn Fn(&FileQuestion) -> FileAnswer + Send + Sync>;

/// The file dialogs, of which at most one is open.
#[derive(Default)]
pub(super) struct FileDialogs {
    /// Answers in place of the system; `None` for the dialogs of the system.
    script: Option<Script>,
    /// Question of the open dialog and the channel of its answer; `None` while none is open.
    open: Option<(FileQuestion, Receiver<FileAnswer>)>,
}

impl FileDialogs {
    /// Returns dialogs that are answered by `script`.
    pub(super) fn scripted(script: impl Fn(&FileQuestion) -> FileAnswer + Send + Sync + 'static) -> Self {
        Self { script: Some(Arc::new(script)), open: None }
    }

    /// Opens a dialog with `question` under the title `title`, unless one is open; requests a repaint of `ctx` when it is answered.
    pub(super) fn ask(&mut self, question: FileQuestion, title: &str, ctx: &egui::Context) {
        if self.open.is_some() {
            return;
        }
        let (answers, answer) = bounded(ONE_ANSWER);
        if let Some(script) = &self.script {
            let _ = answers.try_send(script(&question));
            ctx.request_repaint();
        } else {
            let (chosen, asked, ctx) = (system_dialog(&question, title), Instant::now(), ctx.clone());
            let wait = move || {
                let answer = match pollster::block_on(chosen) {
                    Some(answer) => answer,
                    None if cfg!(target_os = "linux") && asked.elapsed() < UNSEEN => FileAnswer::Missing,
                    None => FileAnswer::Cancelled,
                };
                let _ = answers.try_send(answer);
                ctx.request_repaint();
            };
            // Without a thread the channel closes, which counts as no dialog.
            let _ = supervise::spawn("hearken-file-dialog", wait);
        }
        self.open = Some((question, answer));
    }

    /// Returns the answer of the dialog that was closed, with its question; `None` while none is answered.
    pub(super) fn answer(&mut self) -> Option<(FileQuestion, FileAnswer)> {
        let answer = match self.open.as_ref()?.1.try_recv() {
            Ok(answer) => answer,
            Err(crossbeam_channel::TryRecvError::Empty) => return None,
            Err(crossbeam_channel::TryRecvError::Disconnected) => FileAnswer::Missing,
        };
        self.open.take().map(|(question, _)| (question, answer))
    }
}

/// Opens the dialog of the system; without an answer the user has closed it. Called on the main thread, which macOS demands.
fn system_dialog(question: &FileQuestion, title: &str) -> std::pin::Pin<Box<dyn Future<Output = Option<FileAnswer>> + Send>> {
    let dialog = rfd::AsyncFileDialog::new().set_title(title);
    let one = |file: Option<rfd::FileHandle>| Some(FileAnswer::Chosen(file?.path().to_owned()));
    match question {
        FileQuestion::Export { form, suggested } => {
            let name = suggested.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let folder = suggested.parent().map(PathBuf::from).unwrap_or_default();
            let dialog = dialog.set_directory(folder).set_file_name(name);
            let saved = dialog.add_filter(form.extension(), &[form.extension()]).save_file();
            Box::pin(async move { one(saved.await) })
        }
        FileQuestion::Clip => {
            let picked = dialog.add_filter(title, &AUDIO_EXTENSIONS).pick_file();
            Box::pin(async move { one(picked.await) })
        }
        FileQuestion::ModelFolder => {
            let picked = dialog.pick_folder();
            Box::pin(async move { one(picked.await) })
        }
        FileQuestion::Recordings => {
            let picked = dialog.add_filter(title, &AUDIO_EXTENSIONS).pick_files();
            let paths = |files: Vec<rfd::FileHandle>| files.iter().map(|file| file.path().to_owned()).collect();
            Box::pin(async move { picked.await.map(|files| FileAnswer::ChosenFiles(paths(files))) })
        }
    }
}
