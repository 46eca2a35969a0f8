//! The client of the hub: file lists, and the bytes of a file from any offset.
//!
//! Every socket is opened here. Maps failures to what can be done about them ([`RemoteError`]). Not responsible for retries.

use std::error::Error as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hf_hub::repository::RepoTreeEntry;
use hf_hub::repository::download::HFByteStream;
use hf_hub::{HFClient, HFClientSync, HFError, HFResult};

use super::checksum::{Checksum, is_hex};
use super::control::InstallControl;
use super::manifest::{Manifest, ManifestFile};
use super::runtime::{WaitResult, poll_until, run_in_runtime};
use super::settings::{HubSettings, NetworkAccess};
use super::{CatalogEntry, catalog};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::models::FaultPlace;

/// Largest number of files of a model that a repository may list; more are refused.
const MOST_FILES: usize = 1_000;

/// A failure of a request to the hub, by the reaction that helps.
#[derive(Debug)]
pub enum RemoteError {
    /// A failure that a retry may cure.
    Transient {
        /// Place of the failure.
        place: FaultPlace,
        /// Failure, in words.
        why: String,
        /// Wait that the hub asks for, if it does.
        retry_after: Option<Duration>,
    },
    /// The file has no bytes at the requested offset.
    PastEnd,
    /// The installation was paused or stopped during the request.
    Interrupted,
    /// A failure that a retry cannot cure.
    Permanent(Error),
}

impl RemoteError {
    /// Returns a failure at `place` that a retry may cure, whenever it comes.
    pub(super) fn transient(place: FaultPlace, why: impl Into<String>) -> Self {
        Self::Transient { place, why: why.into(), retry_after: None }
    }
}

/// A client of one hub: Hugging Face or a mirror of it.
pub struct HubClient {
    /// Asynchronous client of hf-hub, which streams files.
    client: HFClient,
    /// Blocking client of hf-hub, whose runtime is used for requests.
    sync: HFClientSync,
    /// Address of the hub, for messages.
    address: String,
    /// Longest silence of a connection, after which it counts as failed.
    stall: Duration,
}

/// The stream of the bytes of a file, as they arrive from the hub.
pub struct FileStream {
    stream: HFByteStream,
    /// Length of the stream that the server announces, in bytes; None if it does not.
    pub length: Option<u64>,
    /// Longest silence of the connection, after which it counts as failed.
    stall: Duration,
}

impl HubClient {
    /// Creates a client for the hub in `settings`; opens no connection.
    ///
    /// # Errors
    /// When the network may not be used, or the address is invalid.
    pub fn new(settings: &HubSettings) -> Result<Self> {
        if settings.network == NetworkAccess::Offline {
            return Err(Error::new(ErrorKind::Network, "HF_HUB_OFFLINE is set, so nothing can be downloaded").with_remedy(Remedy::GoOnline));
        }
        let unusable =
            |e: HFError| Error::new(ErrorKind::Network, format!("the hub {} cannot be used: {}", settings.address(), innermost_reason(&e)));
        // Retries are up to `fetch`, which knows the partial file and the user's wishes.
        let mut builder = HFClient::builder().cache_dir(&settings.cache).retry_max_attempts(0);
        builder = builder.user_agent(concat!("hearken/", env!("CARGO_PKG_VERSION")));
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.endpoint(endpoint);
        }
        let client = builder.build().map_err(unusable)?;
        let sync = HFClientSync::from_inner(client.clone()).map_err(unusable)?;
        Ok(Self { client, sync, address: settings.address().to_owned(), stall: settings.retry_limits.stall })
    }

    /// Asks the hub for sizes and checksums of the files of `entry` at its revision; only files that `entry` includes are listed.
    ///
    /// # Errors
    /// When the hub cannot be reached, refuses or gives an unusable answer, the repository holds no file of a model, or `control`
    /// is paused or stopped.
    pub fn manifest(&self, entry: &CatalogEntry, control: &Arc<InstallControl>) -> Result<Manifest, RemoteError> {
        let (owner, name) = entry.repository().map_err(RemoteError::Permanent)?;
        // `blobs=true` asks for sizes and SHA-256 (`files_metadata` of huggingface_hub); hf-hub has no option for it.
        let asked = format!("{name}/revision/{}?blobs=true", url_segment(&entry.revision));
        let (client, owner_of) = (self.client.clone(), owner.to_owned());
        let info = self.request(control, move || async move { client.model(owner_of, asked).info().send().await });
        let info = info.map_err(|fault| self.with_repository(fault, entry))?;
        let commit = info.sha.filter(|sha| is_hex(sha, 40)).ok_or_else(|| self.unexpected("does not say which commit it is"))?;
        let mut files = Vec::new();
        let mut small = Vec::new();
        for file in info.siblings.unwrap_or_default().into_iter().filter(|file| entry.includes(&file.rfilename)) {
            if !catalog::is_safe_relative_path(&file.rfilename) || files.len() + small.len() >= MOST_FILES {
                return Err(self.unexpected(&format!("lists {:?}, which is no file of a model", file.rfilename)));
            }
            let lfs = file.lfs.as_ref();
            let size = file.size.or_else(|| lfs.and_then(|lfs| lfs.size));
            match (lfs.and_then(|lfs| Checksum::sha256(lfs.sha256.as_deref()?)), size) {
                (Some(checksum), Some(size)) => files.push(ManifestFile { path: file.rfilename, size, checksum }),
                _ => small.push(file.rfilename),
            }
        }
        files.extend(self.small_files(entry, &commit, &small, control)?);
        if files.is_empty() {
            return Err(RemoteError::Permanent(
                self.error(ErrorKind::Model, format!("{owner}/{name} holds no file of a model that Hearken knows"))
                    .with_remedy(Remedy::ChooseOtherModel),
            ));
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let hub = format!("{owner}/{name}");
        Ok(Manifest { hub, revision: entry.revision.clone(), commit, files, checked: Default::default() })
    }

    /// Asks the hub for sizes and checksums of the files `paths` of a repository at `commit` that are stored in git itself; an error if one
    /// is missing.
    fn small_files(
        &self,
        entry: &CatalogEntry,
        commit: &str,
        paths: &[String],
        control: &Arc<InstallControl>,
    ) -> Result<Vec<ManifestFile>, RemoteError> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let (owner, name) = entry.repository().map_err(RemoteError::Permanent)?;
        let (client, owner, name) = (self.client.clone(), owner.to_owned(), name.to_owned());
        let (asked, revision) = (paths.to_vec(), commit.to_owned());
        let found = self.request(control, move || async move {
            client.model(owner, name).get_paths_info().paths(asked).revision(revision).send().await
        });
        let found = found.map_err(|fault| self.with_repository(fault, entry))?;
        let wanted = found.into_iter().filter_map(|entry| match entry {
            RepoTreeEntry::File { oid, size, path, .. } if paths.contains(&path) => {
                Some(ManifestFile { path, size, checksum: Checksum::git_sha1(&oid)? })
            }
            _ => None,
        });
        let wanted: Vec<ManifestFile> = wanted.collect();
        match paths.iter().find(|path| !wanted.iter().any(|file| file.path == **path)) {
            Some(missing) => Err(self.unexpected(&format!("gives no checksum of {missing}"))),
            None => Ok(wanted),
        }
    }

    /// Requests the bytes of `file` from byte `start` on. A server may ignore `start`; the caller must compare.
    ///
    /// # Errors
    /// When the request fails, or `control` is paused or stopped.
    pub fn open(
        &self,
        manifest: &Manifest,
        file: &ManifestFile,
        start: u64,
        control: &Arc<InstallControl>,
    ) -> Result<FileStream, RemoteError> {
        let (owner, name) = manifest.hub.split_once('/').unwrap_or(("", &manifest.hub));
        let (client, owner, name) = (self.client.clone(), owner.to_owned(), name.to_owned());
        let (path, commit, range) = (file.path.clone(), manifest.commit.clone(), start..file.size);
        let opened = self.request(control, move || async move {
            let repository = client.model(owner, name);
            let request = repository.download_file_stream().filename(path).revision(commit);
            // No range for a whole file, so that a server without ranges works too.
            if range.start > 0 { request.range(range).send().await } else { request.send().await }
        });
        let (length, stream) = opened?;
        Ok(FileStream { stream, length, stall: self.stall })
    }

    /// Waits for the result of `request`, at most as long as a connection may be silent, or until `control` is paused or stopped.
    fn request<T, F>(&self, control: &Arc<InstallControl>, request: impl FnOnce() -> F + Send + 'static) -> Result<T, RemoteError>
    where
        T: Send + 'static,
        F: Future<Output = HFResult<T>>,
    {
        let (stall, control) = (self.stall, Arc::clone(control));
        let result = run_in_runtime(&self.sync, move || {
            let mut future = pin!(request());
            poll_until(stall, || control.is_running(), |context| future.as_mut().poll(context))
        });
        match result {
            Some(WaitResult::Ready(Ok(value))) => Ok(value),
            Some(WaitResult::Ready(Err(e))) => Err(self.classify(&e)),
            Some(WaitResult::TimedOut) => Err(RemoteError::Transient {
                place: FaultPlace::Connection,
                why: format!("the hub does not answer ({})", self.address),
                retry_after: None,
            }),
            Some(WaitResult::Stopped) => Err(RemoteError::Interrupted),
            None => Err(RemoteError::Permanent(Error::internal("the client of the hub does not run"))),
        }
    }

    /// Maps an error of hf-hub to a failure that a retry may cure, or a permanent one with its error.
    fn classify(&self, error: &HFError) -> RemoteError {
        let permanent = |kind, why: String| {
            let remedy = Some(Remedy::SetToken).filter(|_| kind == ErrorKind::Access);
            RemoteError::Permanent(self.error(kind, why).with_remedy(remedy))
        };
        match error {
            HFError::RateLimited { retry_after, .. } => {
                RemoteError::Transient { place: FaultPlace::Hub, why: "too many requests".into(), retry_after: *retry_after }
            }
            HFError::AuthRequired { .. } => permanent(
                ErrorKind::Access,
                "access denied (401): the repository does not exist, or it needs an account and HF_TOKEN is not valid".into(),
            ),
            HFError::Forbidden { .. } => {
                permanent(ErrorKind::Access, "this account may not read the repository (403): its page says how to ask for access".into())
            }
            HFError::RepoNotFound { .. } | HFError::RevisionNotFound { .. } | HFError::EntryNotFound { .. } => {
                permanent(ErrorKind::Model, "no such repository, revision or file (404)".into())
            }
            HFError::Http { context } => match context.status.as_u16() {
                416 => RemoteError::PastEnd,
                408 | 425 | 429 | 500..=599 => {
                    RemoteError::Transient { place: FaultPlace::Hub, why: format!("the hub answers {}", context.status), retry_after: None }
                }
                _ => permanent(ErrorKind::Network, format!("it answers {}", context.status)),
            },
            HFError::Json(_) | HFError::MalformedResponse { .. } => self.unexpected("gives an unexpected answer"),
            HFError::InvalidParameter(_) | HFError::Url(_) => permanent(ErrorKind::Arguments, innermost_reason(error)),
            HFError::Request { source, .. } if source.is_decode() => self.unexpected("gives an unexpected answer"),
            other => RemoteError::Transient { place: FaultPlace::Connection, why: innermost_reason(other), retry_after: None },
        }
    }

    /// Returns the permanent error for an answer that may come from no hub at all, such as a sign-in page; `what` is the end of a sentence
    /// about the hub.
    fn unexpected(&self, what: &str) -> RemoteError {
        RemoteError::Permanent(
            self.error(ErrorKind::Network, format!("it {what}; does this network want you to sign in first?"))
                .with_remedy(Remedy::CheckConnection),
        )
    }

    /// Returns an error whose message begins with the hub's address.
    fn error(&self, kind: ErrorKind, why: String) -> Error {
        Error::new(kind, why).while_doing(format_args!("the hub {}", self.address))
    }

    /// Adds repository and revision of `entry` to the message of a permanent error; other failures stay unchanged.
    fn with_repository(&self, fault: RemoteError, entry: &CatalogEntry) -> RemoteError {
        match fault {
            RemoteError::Permanent(error) => {
                let what = format!("{} at {}", entry.hub.as_deref().unwrap_or(&entry.name), entry.revision);
                RemoteError::Permanent(error.while_doing(what))
            }
            other => other,
        }
    }
}

impl FileStream {
    /// Waits for the next bytes; None at the end of the stream.
    ///
    /// # Errors
    /// When the connection breaks, is silent for `RetryLimits::stall`, or `control` is paused or stopped.
    pub fn next_bytes(&mut self, control: &InstallControl) -> Result<Option<impl AsRef<[u8]> + use<>>, RemoteError> {
        match poll_until(self.stall, || control.is_running(), |context| Pin::new(&mut *self.stream).poll_next(context)) {
            WaitResult::Ready(Some(Ok(bytes))) => Ok(Some(bytes)),
            WaitResult::Ready(None) => Ok(None),
            WaitResult::Ready(Some(Err(e))) => {
                let why = format!("the connection broke: {}", innermost_reason(&e));
                Err(RemoteError::Transient { place: FaultPlace::Connection, why, retry_after: None })
            }
            WaitResult::TimedOut => {
                let why = format!("no data for {:.0} s", self.stall.as_secs_f64().ceil());
                Err(RemoteError::Transient { place: FaultPlace::Connection, why, retry_after: None })
            }
            WaitResult::Stopped => Err(RemoteError::Interrupted),
        }
    }
}

/// Returns the text of the innermost cause of an error, unless it holds an address: outer causes repeat addresses, which may
/// contain signatures.
fn innermost_reason(error: &HFError) -> String {
    let mut source: Option<&dyn std::error::Error> = match error {
        HFError::Request { source, .. } => Some(source),
        other => other.source(),
    };
    let mut text = match (error, source) {
        (HFError::Request { .. }, Some(_)) => "the connection failed".to_owned(),
        _ => error.to_string(),
    };
    while let Some(inner) = source {
        source = inner.source();
        if source.is_none() && !inner.to_string().contains("://") {
            text = inner.to_string();
        }
    }
    text
}

/// Percent-encodes a revision as one segment of a URL.
fn url_segment(revision: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    revision.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_stays_one_segment_of_the_url() {
        assert_eq!(url_segment("refs/pr/1?x=#"), "refs%2Fpr%2F1%3Fx%3D%23");
        assert_eq!(url_segment("v1.0-rc_2~"), "v1.0-rc_2~");
    }
}
