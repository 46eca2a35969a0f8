//! The tray icon on a private session bus, where the test plays the desktop's tray.
#![cfg(all(feature = "window", feature = "mic", target_os = "linux"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod inside;
mod program;
mod x11;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use inside::in_virtual_mic;
use program::{Killed, hearken_on, home, needs_display, wait_for};
use x11::{Server, X11};
use zbus::zvariant::{OwnedValue, Value};
use zbus::{Connection, Proxy, block_on, connection};

/// A picture of an icon: width, height and ARGB32 bytes.
type Pixmap = (i32, i32, Vec<u8>);

/// Limits of the whole test, of a start, and of a change.
const TEST_LIMIT: Duration = Duration::from_secs(240);
const START_LIMIT: Duration = Duration::from_secs(60);
const CHANGE_LIMIT: Duration = Duration::from_secs(20);
/// Time after which a window that was to be hidden would be seen.
const REACTION_TIME: Duration = Duration::from_secs(2);

/// Settings of a user who has consented, and of one whose closed window stays in the tray.
const WELCOMED: &str = "[window]\nwelcomed = true\nlanguage = \"en\"\n";
const STAYS_IN_TRAY: &str = "[window]\nwelcomed = true\nlanguage = \"en\"\non_close = \"tray\"\n";

/// A layout of a menu (com.canonical.dbusmenu): id, properties, children.
type Layout = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

/// The desktop's tray.
struct Watcher {
    /// Bus names of the icons that have registered.
    items: Arc<Mutex<Vec<String>>>,
}

#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, service: String) {
        self.items.lock().unwrap().push(service);
    }

    fn register_status_notifier_host(&self, _service: &str) {}

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        self.items.lock().unwrap().clone()
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }
}

/// The desktop's portal for settings, where animations are switched off as in GNOME.
struct SettingsPortal {
    /// Keys that were asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

#[zbus::interface(name = "org.freedesktop.portal.Settings")]
impl SettingsPortal {
    fn read(&self, namespace: &str, key: &str) -> zbus::fdo::Result<OwnedValue> {
        self.asked.lock().unwrap().push(key.to_owned());
        if (namespace, key) != ("org.gnome.desktop.interface", "enable-animations") {
            return Err(zbus::fdo::Error::Failed("Requested setting not found".into()));
        }
        Ok(Value::Value(Box::new(Value::Bool(false))).try_to_owned().unwrap())
    }
}

/// A tray, the newest icon in it, and the keys that the portal for settings was asked for.
struct Tray {
    bus: Connection,
    items: Arc<Mutex<Vec<String>>>,
    settings_asked: Arc<Mutex<Vec<String>>>,
}

impl Tray {
    fn start() -> Self {
        let (items, settings_asked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let watcher = Watcher { items: Arc::clone(&items) };
        let portal = SettingsPortal { asked: Arc::clone(&settings_asked) };
        let builder = connection::Builder::session().unwrap().name("org.kde.StatusNotifierWatcher").unwrap();
        let builder = builder.name("org.freedesktop.portal.Desktop").unwrap().serve_at("/org/freedesktop/portal/desktop", portal).unwrap();
        let bus = block_on(builder.serve_at("/StatusNotifierWatcher", watcher).unwrap().build()).unwrap();
        Self { bus, items, settings_asked }
    }

    fn icon(&self) -> Proxy<'static> {
        self.proxy("/StatusNotifierItem", "org.kde.StatusNotifierItem")
    }

    fn proxy(&self, path: &'static str, interface: &'static str) -> Proxy<'static> {
        let name = self.items.lock().unwrap().last().cloned().expect("an icon has registered");
        block_on(Proxy::new(&self.bus, name, path, interface)).unwrap()
    }

    /// Returns the title of the tooltip and the largest picture, uncached.
    fn look(&self) -> (String, Vec<u8>) {
        let properties = self.proxy("/StatusNotifierItem", "org.freedesktop.DBus.Properties");
        let get = |name: &str| -> OwnedValue { block_on(properties.call("Get", &("org.kde.StatusNotifierItem", name))).unwrap() };
        let (_, _, title, _): (String, Vec<Pixmap>, String, String) = get("ToolTip").try_into().unwrap();
        let pictures: Vec<Pixmap> = get("IconPixmap").try_into().unwrap();
        (title, pictures.into_iter().max_by_key(|(width, _, _)| *width).unwrap().2)
    }

    /// Returns number and label of each item of the menu.
    fn menu(&self) -> Vec<(i32, String)> {
        let menu = self.proxy("/MenuBar", "com.canonical.dbusmenu");
        let (_, (_, _, children)): (u32, Layout) = block_on(menu.call("GetLayout", &(0, -1, Vec::<&str>::new()))).unwrap();
        let child = |value: OwnedValue| -> Layout { value.try_into().unwrap() };
        let label = |properties: &HashMap<String, OwnedValue>| -> Option<String> { properties.get("label")?.clone().try_into().ok() };
        children.into_iter().map(child).filter_map(|(id, properties, _)| Some((id, label(&properties)?))).collect()
    }

    fn choose(&self, label: &str) {
        let (id, _) = self.menu().into_iter().find(|(_, found)| found == label).unwrap_or_else(|| panic!("no {label}: {:?}", self.menu()));
        let menu = self.proxy("/MenuBar", "com.canonical.dbusmenu");
        block_on(menu.call::<_, _, ()>("Event", &(id, "clicked", Value::from(0), 0_u32))).unwrap();
    }

    /// Waits until the tooltip of the icon ends with `state`, and returns its picture.
    fn wait_for_state(&self, state: &str) -> Vec<u8> {
        wait_for(CHANGE_LIMIT, || {
            let (title, picture) = self.look();
            title.ends_with(state).then_some(picture)
        })
    }
}

#[test]
fn the_tray_shows_the_state_pauses_keeps_a_closed_window_and_quits() {
    needs_display();
    in_virtual_mic(TEST_LIMIT, || {
        use_the_tray();
    });
}

fn use_the_tray() {
    let home = home(STAYS_IN_TRAY);
    let tray = Tray::start();
    let server = Server::start();
    let mut x = X11::connect(&server);
    let mut program = Killed(hearken_on(&server, home.path()).spawn().unwrap());
    let window = wait_for(START_LIMIT, || x.window());
    wait_for(START_LIMIT, || tray.items.lock().unwrap().last().cloned());

    wait_for(CHANGE_LIMIT, || (tray.settings_asked.lock().unwrap()[..] == ["reduced-motion", "enable-animations"]).then_some(()));

    let listening = wait_for(CHANGE_LIMIT, || {
        let (title, picture) = tray.look();
        (title.ends_with("Listening") || title.ends_with("Quiet")).then_some(picture)
    });
    tray.choose("Pause");
    let paused = tray.wait_for_state("Paused");
    assert_ne!(listening, paused, "the icon shows the pause");
    tray.choose("Resume");
    assert_eq!(wait_for(CHANGE_LIMIT, || (tray.look().1 != paused).then(|| tray.look().1)), listening);

    x.close(window);
    wait_for(CHANGE_LIMIT, || (!x.is_viewable(window)).then_some(()));
    std::thread::sleep(REACTION_TIME);
    assert!(program.0.try_wait().unwrap().is_none(), "closing the window keeps Hearken in the tray");
    tray.choose("Pause");
    tray.wait_for_state("Paused");
    block_on(tray.icon().call::<_, _, ()>("Activate", &(0, 0))).unwrap();
    wait_for(CHANGE_LIMIT, || x.is_viewable(window).then_some(()));

    x.close(window);
    wait_for(CHANGE_LIMIT, || (!x.is_viewable(window)).then_some(()));
    tray.choose("Quit Hearken");
    assert!(wait_for(CHANGE_LIMIT, || program.0.try_wait().unwrap()).success());
}

#[test]
fn a_hidden_start_waits_in_the_tray_and_without_a_tray_closing_ends() {
    needs_display();
    in_virtual_mic(TEST_LIMIT, || {
        start_hidden();
        close_without_a_tray();
    });
}

fn start_hidden() {
    let home = home(WELCOMED);
    let tray = Tray::start();
    let server = Server::start();
    let mut x = X11::connect(&server);
    let mut program = Killed(hearken_on(&server, home.path()).arg("--hidden").spawn().unwrap());
    wait_for(START_LIMIT, || tray.items.lock().unwrap().last().cloned());
    std::thread::sleep(REACTION_TIME);
    assert_eq!(x.window(), None, "no window is in sight");
    // A second start opens the window, as a click on the icon does.
    let second = hearken_on(&server, home.path()).status().unwrap();
    assert!(second.success());
    wait_for(START_LIMIT, || x.window());
    tray.choose("Quit Hearken");
    assert!(wait_for(CHANGE_LIMIT, || program.0.try_wait().unwrap()).success());
}

fn close_without_a_tray() {
    let home = home(STAYS_IN_TRAY);
    let server = Server::start();
    let mut x = X11::connect(&server);
    let mut program = Killed(hearken_on(&server, home.path()).spawn().unwrap());
    let window = wait_for(START_LIMIT, || x.window());
    std::thread::sleep(REACTION_TIME);
    x.close(window);
    assert!(wait_for(CHANGE_LIMIT, || program.0.try_wait().unwrap()).success(), "there is no tray to stay in");
}
