//! A fake hub on this machine with the protocol of Hugging Face, a second host for large files, and injected faults. Counts every
//! byte that it serves.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of tests; each uses its part")]

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hearken::hub::checksum::Checksum;
use serde_json::json;

/// The commit of every revision.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// Size above which files are on the second host, as on Hugging Face.
const LARGE: usize = 10_000;
/// Bytes written at a time.
const PIECE: usize = 8 << 10;

/// A fault of one answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum HubFault {
    /// No fault.
    None,
    /// The connection breaks after this many bytes.
    Cut(usize),
    /// The connection falls silent after this many bytes.
    Stall(usize),
    /// The range is ignored and the whole file is sent.
    NoRange,
    /// A range of the right length from the wrong place.
    OtherRange,
    /// This status, with a header line.
    Status(u16, &'static str),
    /// One byte is wrong.
    Flipped,
    /// This many bytes more than there are, or fewer if negative.
    Resized(i64),
    /// This page instead of the answer.
    Page(&'static str),
    /// A millisecond between two pieces.
    Slow,
}

/// A file on the hub.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    source: Source,
    /// The name of its blob: its checksum.
    blob: String,
    /// The size that the hub claims, if it differs.
    pub(crate) claimed: Option<u64>,
}

#[derive(Clone, Debug)]
enum Source {
    Memory(Arc<Vec<u8>>),
    Disk(PathBuf, usize),
}

impl Stored {
    /// Returns a file held in memory.
    pub(crate) fn memory(bytes: Vec<u8>) -> Self {
        Self { blob: name_of_blob(&bytes), source: Source::Memory(Arc::new(bytes)), claimed: None }
    }

    /// Returns a file held on disk, on the second host whatever its size.
    pub(crate) fn disk(path: PathBuf) -> Self {
        let len = std::fs::metadata(&path).expect("a file").len() as usize;
        Self { blob: hearken::hub::cache::sha256_of(&path).expect("its bytes"), source: Source::Disk(path, len), claimed: None }
    }

    fn len(&self) -> usize {
        match &self.source {
            Source::Memory(bytes) => bytes.len(),
            Source::Disk(_, len) => *len,
        }
    }

    fn claims(&self) -> u64 {
        self.claimed.unwrap_or(self.len() as u64)
    }

    /// Returns whether the file is on the second host: its blob is named by a SHA-256.
    fn is_large(&self) -> bool {
        self.blob.len() == 64
    }

    fn bytes(&self) -> Arc<Vec<u8>> {
        match &self.source {
            Source::Memory(bytes) => Arc::clone(bytes),
            Source::Disk(path, _) => Arc::new(std::fs::read(path).expect("its bytes")),
        }
    }
}

#[derive(Debug, Default)]
struct HubState {
    files: Mutex<BTreeMap<String, Stored>>,
    /// The faults of the next answers, by file; `api` is the file list.
    faults: Mutex<BTreeMap<String, VecDeque<HubFault>>>,
    served: Mutex<BTreeMap<String, u64>>,
    requests: Mutex<Vec<String>>,
    closed: AtomicBool,
}

/// A running fake hub.
pub(crate) struct FakeHub {
    pub(crate) address: String,
    ports: [u16; 2],
    state: Arc<HubState>,
}

impl FakeHub {
    /// Starts a hub with these files.
    pub(crate) fn holding(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let state = Arc::new(HubState::default());
        *state.files.lock().unwrap() = files.into_iter().map(|(name, bytes)| (name, Stored::memory(bytes))).collect();
        let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let ports = [0, 1].map(|at: usize| listeners[at].local_addr().expect("an address").port());
        for listener in listeners {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if state.closed.load(Ordering::Relaxed) {
                        return;
                    }
                    let state = Arc::clone(&state);
                    // Many tests close the connection early.
                    thread::spawn(move || drop(answer(&stream, &state, ports)));
                }
            });
        }
        Self { address: format!("http://127.0.0.1:{}", ports[0]), ports, state }
    }

    /// Injects faults into the next answers about `file`, in order.
    pub(crate) fn inject(&self, file: &str, faults: impl IntoIterator<Item = HubFault>) {
        self.state.faults.lock().unwrap().entry(file.to_owned()).or_default().extend(faults);
    }

    /// Removes all injected faults.
    pub(crate) fn clear_faults(&self) {
        self.state.faults.lock().unwrap().clear();
    }

    /// Returns the bytes of content served in all.
    pub(crate) fn served(&self) -> u64 {
        self.state.served.lock().unwrap().values().sum()
    }

    /// Returns the bytes of `file` served.
    pub(crate) fn served_of(&self, file: &str) -> u64 {
        self.state.served.lock().unwrap().get(file).copied().unwrap_or(0)
    }

    /// Returns the requests that contain `what`.
    pub(crate) fn requests(&self, what: &str) -> Vec<String> {
        self.state.requests.lock().unwrap().iter().filter(|request| request.contains(what)).cloned().collect()
    }

    /// Changes the file `name`.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Stored)) {
        change(self.state.files.lock().unwrap().get_mut(name).expect("a file"));
    }

    /// Adds a file.
    pub(crate) fn hold(&self, name: &str, stored: Stored) {
        self.state.files.lock().unwrap().insert(name.to_owned(), stored);
    }

    /// Returns the size of all files in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.state.files.lock().unwrap().values().map(|file| file.len() as u64).sum()
    }

    /// Returns the bytes of the file `name`.
    pub(crate) fn file(&self, name: &str) -> Vec<u8> {
        self.state.files.lock().unwrap()[name].bytes().to_vec()
    }

    /// Accepts no more connections.
    pub(crate) fn close(&self) {
        self.state.closed.store(true, Ordering::Relaxed);
        for port in self.ports {
            // Wakes the listener, which then ends and frees the port.
            let _ = TcpStream::connect(("127.0.0.1", port));
        }
    }
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.close();
    }
}

/// Returns the name of the blob of these bytes: their checksum.
pub(crate) fn name_of_blob(bytes: &[u8]) -> String {
    let zeros = |n: usize| "0".repeat(n);
    let kind = if bytes.len() > LARGE { Checksum::sha256(&zeros(64)) } else { Checksum::git_sha1(&zeros(40)) };
    let mut sum = kind.expect("a checksum").hasher(bytes.len() as u64);
    sum.update(bytes);
    sum.hex()
}

struct Asked {
    method: String,
    path: String,
    range: Option<(usize, usize)>,
    body: Vec<u8>,
}

fn read_request(stream: &TcpStream, state: &HubState, port: u16) -> std::io::Result<Option<Asked>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    // A proxy gets absolute URLs.
    let path = target.split_once("://").map_or(target.clone(), |(_, rest)| rest.find('/').map_or("/".into(), |at| rest[at..].to_owned()));
    let (mut range, mut length, mut heads) = (None, 0, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.trim().split_once(':').unwrap_or_default();
        let value = value.trim();
        match name.to_lowercase().as_str() {
            "range" => {
                let numbers = value.trim_start_matches("bytes=").split_once('-').expect("a range");
                range = Some((numbers.0.parse().expect("a number"), numbers.1.parse().unwrap_or(usize::MAX)));
            }
            "content-length" => length = value.parse().expect("a length"),
            "authorization" => heads += &format!(" {name}: {value}"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    state.requests.lock().unwrap().push(format!("{method} {port} {target} {range:?}{heads}"));
    Ok(Some(Asked { method, path, range, body }))
}

fn answer(stream: &TcpStream, state: &HubState, ports: [u16; 2]) -> std::io::Result<()> {
    let port = stream.local_addr()?.port();
    let Some(asked) = read_request(stream, state, port)? else { return Ok(()) };
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let mut out = stream;
    if path.starts_with("/api/models/tester/tiny") {
        match next_fault(state, "api") {
            HubFault::None => {}
            HubFault::Stall(_) => thread::sleep(Duration::from_secs(3)),
            HubFault::Status(status, head) => {
                return write!(out, "HTTP/1.1 {status} Told\r\n{head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
            HubFault::Page(page) => return respond(out, "200 OK", "", page.as_bytes()),
            other => panic!("{other:?} is not for the list of files"),
        }
        let text = if path.contains("/paths-info/") { paths_info(state, &asked.body) } else { repository(state, path, query) };
        return respond(out, "200 OK", "Content-Type: application/json\r\n", text.to_string().as_bytes());
    }
    if let Some(file) = path.strip_prefix(&format!("/tester/tiny/resolve/{COMMIT}/")) {
        let stored = state.files.lock().unwrap().get(file).cloned();
        let Some(stored) = stored else { return respond(out, "404 Not Found", "X-Error-Code: EntryNotFound\r\n", b"") };
        if stored.is_large() {
            let heads = format!(
                "Location: http://127.0.0.1:{}/cdn/{file}?signed=secret\r\nX-Linked-Etag: \"{}\"\r\nX-Linked-Size: {}\r\n",
                ports[1],
                stored.blob,
                stored.len()
            );
            return respond(out, "302 Found", &heads, b"");
        }
        return content(out, state, file, &stored, &asked);
    }
    if let Some(file) = path.strip_prefix("/cdn/") {
        let stored = state.files.lock().unwrap().get(file).cloned().expect("a file");
        return content(out, state, file, &stored, &asked);
    }
    respond(out, "404 Not Found", "", b"")
}

fn next_fault(state: &HubState, of: &str) -> HubFault {
    state.faults.lock().unwrap().get_mut(of).and_then(VecDeque::pop_front).unwrap_or(HubFault::None)
}

fn respond(mut out: &TcpStream, status: &str, heads: &str, body: &[u8]) -> std::io::Result<()> {
    write!(out, "HTTP/1.1 {status}\r\n{heads}X-Repo-Commit: {COMMIT}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    out.write_all(body)
}

fn repository(state: &HubState, path: &str, query: &str) -> serde_json::Value {
    assert!(query.contains("blobs=true") && path.contains("/revision/"), "{path}?{query}");
    let files = state.files.lock().unwrap();
    let siblings = files.iter().map(|(name, file)| {
        let (size, blob) = (file.claims(), &file.blob);
        if file.is_large() {
            json!({"rfilename": name, "size": size, "blobId": "x", "lfs": {"sha256": blob, "size": size, "pointerSize": 134}})
        } else {
            json!({"rfilename": name, "size": size, "blobId": blob})
        }
    });
    let siblings: Vec<_> = siblings.collect();
    json!({"_id": "1", "id": "tester/tiny", "modelId": "tester/tiny", "sha": COMMIT, "private": false, "tags": [], "siblings": siblings})
}

fn paths_info(state: &HubState, body: &[u8]) -> serde_json::Value {
    let asked: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    let files = state.files.lock().unwrap();
    let one = |name: &str| {
        let file = &files[name];
        json!({"type": "file", "path": name, "size": file.claims(), "oid": file.blob})
    };
    asked["paths"].as_array().expect("paths").iter().map(|name| one(name.as_str().expect("a name"))).collect()
}

/// Sends a file, with an injected fault.
fn content(mut out: &TcpStream, state: &HubState, name: &str, file: &Stored, asked: &Asked) -> std::io::Result<()> {
    let len = file.len();
    if asked.method == "HEAD" {
        return write!(out, "HTTP/1.1 200 OK\r\nX-Repo-Commit: {COMMIT}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n");
    }
    let fault = next_fault(state, name);
    if let HubFault::Status(status, head) = fault {
        return write!(out, "HTTP/1.1 {status} Told\r\n{head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if let HubFault::Page(page) = fault {
        return respond(out, "200 OK", "", page.as_bytes());
    }
    let (start, end) = match asked.range {
        Some((start, _)) if start >= len => {
            return respond(out, "416 Range Not Satisfiable", &format!("Content-Range: bytes */{len}\r\n"), b"");
        }
        Some(_) if fault == HubFault::NoRange => (0, len),
        Some((start, end)) => (start, end.saturating_add(1).min(len)),
        None => (0, len),
    };
    if let Source::Disk(path, _) = &file.source {
        return from_disk(out, path, start..end, len);
    }
    let bytes = file.bytes();
    let mut body = bytes[start..end].to_vec();
    let heads = if asked.range.is_some() && fault != HubFault::NoRange {
        if fault == HubFault::OtherRange {
            // Neither from the start nor from the requested offset.
            body = bytes[..].iter().cycle().skip(start / 2 + 777).take(end - start).copied().collect();
        }
        format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{}/{}\r\n", end - 1, bytes.len())
    } else {
        "HTTP/1.1 200 OK\r\n".to_owned()
    };
    match fault {
        HubFault::Flipped => {
            let at = body.len() / 2;
            body[at] ^= 1;
        }
        HubFault::Resized(by) => body.resize((body.len() as i64 + by) as usize, 7),
        _ => {}
    }
    write!(out, "{heads}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    let (until, hang) = match fault {
        HubFault::Cut(after) => (after.min(body.len()), false),
        HubFault::Stall(after) => (after.min(body.len()), true),
        _ => (body.len(), false),
    };
    for piece in body[..until].chunks(PIECE) {
        out.write_all(piece)?;
        *state.served.lock().unwrap().entry(name.to_owned()).or_default() += piece.len() as u64;
        if fault == HubFault::Slow {
            thread::sleep(Duration::from_millis(1));
        }
    }
    out.flush()?;
    if hang {
        thread::sleep(Duration::from_secs(3));
    }
    Ok(())
}

/// Sends a range of a file on disk, without faults.
fn from_disk(mut out: &TcpStream, path: &Path, range: Range<usize>, len: usize) -> std::io::Result<()> {
    let status = if range.len() < len { "206 Partial Content" } else { "200 OK" };
    let header = format!("Content-Range: bytes {}-{}/{len}\r\n", range.start, range.end - 1);
    write!(out, "HTTP/1.1 {status}\r\n{header}Content-Length: {}\r\nConnection: close\r\n\r\n", range.len())?;
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(range.start as u64))?;
    std::io::copy(&mut BufReader::with_capacity(1 << 20, file.take(range.len() as u64)), &mut out).map(drop)
}
