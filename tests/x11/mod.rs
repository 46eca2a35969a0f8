//! An X server without a screen, and a client that types: the few requests of the X protocol and its XTEST extension that find a
//! window, send keys to it and close it as a window manager does.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::panic, reason = "a helper of tests")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Keysyms of keys without a character (X11/keysymdef.h).
pub const CONTROL: u32 = 0xffe3;
pub const RETURN: u32 = 0xff0d;
pub const SHIFT: u32 = 0xffe1;
pub const DELETE: u32 = 0xffff;

const KEY_PRESS: u8 = 2;
const KEY_RELEASE: u8 = 3;

/// A running Xvfb, killed when dropped.
pub struct Server {
    child: Child,
    pub number: String,
}

impl Server {
    /// Starts a server on a free display number.
    pub fn start() -> Self {
        Self::launch(Command::new("Xvfb"))
    }

    /// Starts a server on the display number of another that has ended.
    pub fn start_at(number: &str) -> Self {
        let mut command = Command::new("Xvfb");
        command.arg(format!(":{number}"));
        Self::launch(command)
    }

    fn launch(mut command: Command) -> Self {
        command.args(["-displayfd", "1", "-screen", "0", "1280x800x24", "+extension", "GLX", "-nolisten", "tcp"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut number = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Self { child, number: number.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to an X server.
pub struct X11 {
    stream: UnixStream,
    root: u32,
    xtest: u8,
    /// Keycode of each keysym, and true if Shift is needed.
    keys: BTreeMap<u32, (u8, bool)>,
}

impl X11 {
    /// Connects, and reads the keyboard map.
    pub fn connect(server: &Server) -> Self {
        let mut stream = UnixStream::connect(format!("/tmp/.X11-unix/X{}", server.number)).unwrap();
        stream.write_all(&[b'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        let mut head = [0; 8];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head[0], 1, "the X server accepts the connection");
        let mut about = vec![0; 4 * usize::from(word(&head, 6))];
        stream.read_exact(&mut about).unwrap();
        let vendor = usize::from(word(&about, 16)).next_multiple_of(4);
        let root = long(&about, 32 + vendor + 8 * usize::from(about[21]));
        let (least, most) = (about[26], about[27]);
        let mut x = Self { stream, root, xtest: 0, keys: BTreeMap::new() };
        x.xtest = x.ask(98, 0, &[&[5, 0, 0, 0][..], b"XTEST\0\0\0"].concat())[9];
        let map = x.ask(101, 0, &[least, most - least + 1, 0, 0]);
        let each = usize::from(map[1]);
        for code in least..=most {
            for (column, shift) in [(0, false), (1, true)] {
                let keysym = long(&map, 32 + 4 * (usize::from(code - least) * each + column));
                x.keys.entry(keysym).or_insert((code, shift));
            }
        }
        x
    }

    /// Returns the largest window on the screen, if any is large enough for a program's.
    pub fn window(&mut self) -> Option<u32> {
        let tree = self.ask(15, 0, &self.root.to_le_bytes());
        let windows = (0..usize::from(word(&tree, 16))).map(|n| long(&tree, 32 + 4 * n)).collect::<Vec<_>>();
        let sized = windows.into_iter().map(|window| {
            let about = self.ask(14, 0, &window.to_le_bytes());
            (u32::from(word(&about, 16)) * u32::from(word(&about, 18)), window)
        });
        sized.filter(|(size, _)| *size > 10_000).max().map(|(_, window)| window)
    }

    /// Returns true while a window is shown (`GetWindowAttributes`, map state).
    pub fn is_viewable(&mut self, window: u32) -> bool {
        self.ask(3, 0, &window.to_le_bytes())[26] == 2
    }

    /// Gives a window the keyboard focus.
    pub fn focus(&mut self, window: u32) {
        self.send(42, 1, &[window.to_le_bytes(), [0; 4]].concat());
        self.settle();
    }

    /// Presses the keys in order and releases them in reverse order.
    pub fn press(&mut self, keysyms: &[u32]) {
        let codes: Vec<u8> = keysyms.iter().map(|keysym| self.keys[keysym].0).collect();
        codes.iter().for_each(|code| self.key(KEY_PRESS, *code));
        codes.iter().rev().for_each(|code| self.key(KEY_RELEASE, *code));
    }

    /// Types ASCII text, whose keysyms equal its codes.
    pub fn type_text(&mut self, text: &str) {
        for character in text.chars() {
            let (code, shift) = self.keys[&u32::from(character)];
            let shift = shift.then(|| self.keys[&SHIFT].0);
            shift.iter().for_each(|code| self.key(KEY_PRESS, *code));
            self.key(KEY_PRESS, code);
            self.key(KEY_RELEASE, code);
            shift.iter().for_each(|code| self.key(KEY_RELEASE, *code));
        }
    }

    /// Asks the window to close, as a window manager does (ICCCM 4.2.8.1).
    pub fn close(&mut self, window: u32) {
        let (protocols, delete) = (self.atom("WM_PROTOCOLS"), self.atom("WM_DELETE_WINDOW"));
        let event = [&[33, 32, 0, 0][..], &window.to_le_bytes(), &protocols.to_le_bytes(), &delete.to_le_bytes(), &[0; 16]].concat();
        self.send(25, 0, &[&window.to_le_bytes()[..], &[0; 4], &event].concat());
        self.settle();
    }

    fn key(&mut self, kind: u8, code: u8) {
        let mut body = vec![kind, code];
        body.resize(32, 0);
        let xtest = self.xtest;
        self.send(xtest, 2, &body);
        // The window takes keys at the pace of a person.
        std::thread::sleep(Duration::from_millis(25));
    }

    fn atom(&mut self, name: &str) -> u32 {
        let mut body = [&(name.len() as u16).to_le_bytes()[..], &[0, 0], name.as_bytes()].concat();
        body.resize(body.len().next_multiple_of(4), 0);
        long(&self.ask(16, 0, &body), 8)
    }

    /// Waits until the server has carried out all requests.
    fn settle(&mut self) {
        self.atom("WM_PROTOCOLS");
    }

    fn send(&mut self, opcode: u8, data: u8, body: &[u8]) {
        let length = (1 + body.len() / 4) as u16;
        self.stream.write_all(&[&[opcode, data][..], &length.to_le_bytes(), body].concat()).unwrap();
    }

    fn ask(&mut self, opcode: u8, data: u8, body: &[u8]) -> Vec<u8> {
        self.send(opcode, data, body);
        loop {
            let mut reply = vec![0; 32];
            self.stream.read_exact(&mut reply).unwrap();
            match reply[0] {
                0 => panic!("the X server refuses request {opcode}: {reply:?}"),
                1 => {
                    let more = 4 * long(&reply, 4) as usize;
                    reply.resize(32 + more, 0);
                    self.stream.read_exact(&mut reply[32..]).unwrap();
                    return reply;
                }
                // An event: every client is told of a new keyboard map.
                _ => {}
            }
        }
    }
}

/// Reads a 16-bit number.
fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Reads a 32-bit number.
fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
