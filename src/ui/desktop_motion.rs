//! The desktop's own setting for reduced motion, which the window follows unless its setting *Motion* says otherwise.
//!
//! Linux: the settings portal of the session bus. macOS: `defaults`. Windows: `reg`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::supervise::spawn;

/// The desktop's setting for reduced motion.
#[derive(Clone, Debug, Default)]
pub(super) struct DesktopMotion {
    reduced: Arc<AtomicBool>,
}

impl DesktopMotion {
    /// Asks the desktop on a thread of its own. Motion counts as not reduced until the answer is there, and where there is none.
    pub(super) fn ask(ctx: &egui::Context) -> Self {
        let asked = Self::default();
        let (reduced, ctx) = (Arc::clone(&asked.reduced), ctx.clone());
        let work = move || {
            if platform::is_reduced() {
                reduced.store(true, Ordering::Relaxed);
                ctx.request_repaint();
            }
        };
        // Without the thread, the window moves as it does on a desktop without the setting.
        let _ = spawn("hearken-motion", work);
        asked
    }

    /// Returns true if the desktop's settings reduce motion.
    pub(super) fn is_reduced(&self) -> bool {
        self.reduced.load(Ordering::Relaxed)
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use zbus::zvariant::{OwnedValue, Value};
    use zbus::{Connection, block_on};

    const PORTAL: &str = "org.freedesktop.portal.Desktop";
    const PATH: &str = "/org/freedesktop/portal/desktop";
    const INTERFACE: &str = "org.freedesktop.portal.Settings";

    /// A setting of a desktop: namespace, key, and a function that returns true if a value of it reduces motion.
    type MotionSetting = (&'static str, &'static str, fn(&Value<'_>) -> bool);

    /// The settings that desktops have for motion: of all desktops (xdg-desktop-portal 1.21), of GNOME, and of KDE.
    const SETTINGS: [MotionSetting; 3] = [
        ("org.freedesktop.appearance", "reduced-motion", |value| *value == Value::U32(1)),
        ("org.gnome.desktop.interface", "enable-animations", |value| *value == Value::Bool(false)),
        ("org.kde.kdeglobals.KDE", "AnimationDurationFactor", |value| match value {
            Value::Str(factor) => factor.parse() == Ok(0.0),
            Value::F64(factor) => *factor == 0.0,
            _ => false,
        }),
    ];

    pub(super) fn is_reduced() -> bool {
        block_on(async {
            let Ok(bus) = Connection::session().await else { return false };
            for (namespace, key, reduces) in SETTINGS {
                // The older of the portal's two methods, which every version has.
                let Ok(answer) = bus.call_method(Some(PORTAL), PATH, Some(INTERFACE), "Read", &(namespace, key)).await else { continue };
                if answer.body().deserialize::<OwnedValue>().is_ok_and(|value| reduces(innermost(&value))) {
                    return true;
                }
            }
            false
        })
    }

    /// Returns the value in a variant in a variant, as the portal answers.
    fn innermost<'v>(mut value: &'v Value<'v>) -> &'v Value<'v> {
        while let Value::Value(inner) = value {
            value = inner;
        }
        value
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_setting_of_each_desktop_reduces_motion() {
            let answers: [(&str, Vec<(Value<'_>, bool)>); 3] = [
                ("reduced-motion", vec![(Value::U32(1), true), (Value::U32(0), false), (Value::from("1"), false)]),
                ("enable-animations", vec![(Value::Bool(false), true), (Value::Bool(true), false), (Value::U32(0), false)]),
                ("AnimationDurationFactor", vec![(Value::from("0"), true), (Value::from("0.5"), false), (Value::from("no"), false)]),
            ];
            for ((_, key, reduces), (expected_key, answers)) in SETTINGS.into_iter().zip(answers) {
                assert_eq!(key, expected_key);
                for (value, reduced) in answers {
                    let answer = Value::Value(Box::new(Value::Value(Box::new(value.try_clone().unwrap()))));
                    assert_eq!(reduces(innermost(&answer)), reduced, "{key}: {value:?}");
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::process::Command;

    /// The command that prints the setting.
    const QUERY: &[&str] = if cfg!(target_os = "macos") {
        &["defaults", "read", "com.apple.universalaccess", "reduceMotion"]
    } else {
        &["reg", "query", r"HKCU\Control Panel\Desktop\WindowMetrics", "/v", "MinAnimate"]
    };

    pub(super) fn is_reduced() -> bool {
        let Ok(output) = Command::new(QUERY[0]).args(&QUERY[1..]).output() else { return false };
        let text = String::from_utf8_lossy(&output.stdout);
        // macOS prints 1 where motion is reduced; the value of Windows is 0 where windows are not animated.
        text.split_whitespace().next_back() == Some(if cfg!(target_os = "macos") { "1" } else { "0" })
    }
}
