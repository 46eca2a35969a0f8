//! Address, cache and limits of the hub, from the environment variables of Hugging Face.

use std::path::PathBuf;
use std::time::Duration;

/// The address of the hub, its cache on this machine, and the limits of requests.
#[derive(Clone, Debug)]
pub struct HubSettings {
    /// Address of the hub (`HF_ENDPOINT`), without a `/` at the end; None: <https://huggingface.co>.
    pub endpoint: Option<String>,
    /// Folder of the cache (`HF_HUB_CACHE`, `HF_HOME`), in the layout that all programs of Hugging Face share.
    pub cache: PathBuf,
    /// Permission to use the network.
    pub network: NetworkAccess,
    /// Time limits and numbers of retries.
    pub retry_limits: RetryLimits,
}

/// The permission to use the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkAccess {
    /// The network may be used.
    Allowed,
    /// The user forbids the network (`HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`).
    Offline,
}

/// The time limits and retries of requests to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryLimits {
    /// Longest silence of a connection, after which the connection counts as failed.
    pub stall: Duration,
    /// Wait after the first failure of a request; doubled after each further failure in a row.
    pub back_off: Duration,
    /// Longest wait between two attempts, even if the hub asks for more.
    pub max_back_off: Duration,
    /// Number of failures in a row without a new byte after which the download fails.
    pub attempts: u32,
}

impl Default for RetryLimits {
    fn default() -> Self {
        Self { stall: Duration::from_secs(30), back_off: Duration::from_secs(1), max_back_off: Duration::from_secs(300), attempts: 6 }
    }
}

impl HubSettings {
    /// Reads the environment variables of Hugging Face. hf-hub and its HTTP client read the token (`HF_TOKEN`, or the file of
    /// `hf auth login`) and the proxies themselves.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::from_variables(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
    }

    /// Makes the settings from environment variables, which `variable` looks up by name.
    fn from_variables(variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let home = || variable("HOME").or_else(|| variable("USERPROFILE")).unwrap_or_else(std::env::temp_dir);
        let hugging_face = || {
            variable("HF_HOME").unwrap_or_else(|| variable("XDG_CACHE_HOME").unwrap_or_else(|| home().join(".cache")).join("huggingface"))
        };
        let cache = variable("HF_HUB_CACHE").or_else(|| variable("HUGGINGFACE_HUB_CACHE")).unwrap_or_else(|| hugging_face().join("hub"));
        let is_set = |name: &str| {
            variable(name).is_some_and(|value| ["1", "on", "yes", "true"].contains(&value.to_string_lossy().to_lowercase().as_str()))
        };
        let endpoint = variable("HF_ENDPOINT").map(|value| value.to_string_lossy().trim_end_matches('/').to_owned());
        let network =
            if is_set("HF_HUB_OFFLINE") || is_set("TRANSFORMERS_OFFLINE") { NetworkAccess::Offline } else { NetworkAccess::Allowed };
        Self { endpoint, cache, network, retry_limits: RetryLimits::default() }
    }

    /// Returns the address of the hub, Hugging Face's if none is set.
    #[must_use]
    pub fn address(&self) -> &str {
        self.endpoint.as_deref().unwrap_or("https://huggingface.co")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> HubSettings {
        HubSettings::from_variables(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| PathBuf::from(value)))
    }

    #[test]
    fn the_cache_is_where_all_programs_of_hugging_face_look() {
        assert_eq!(read(&[("HOME", "/h")]).cache, Path::new("/h/.cache/huggingface/hub"));
        assert_eq!(read(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]).cache, Path::new("/x/huggingface/hub"));
        assert_eq!(read(&[("HOME", "/h"), ("HF_HOME", "/f"), ("XDG_CACHE_HOME", "/x")]).cache, Path::new("/f/hub"));
        assert_eq!(read(&[("HF_HOME", "/f"), ("HF_HUB_CACHE", "/c")]).cache, Path::new("/c"));
    }

    #[test]
    fn offline_mode_and_other_endpoints_are_respected() {
        let settings = read(&[("HF_HUB_OFFLINE", "1"), ("HF_ENDPOINT", "https://mirror.example/")]);
        assert_eq!((settings.network, settings.address()), (NetworkAccess::Offline, "https://mirror.example"));
        assert_eq!((read(&[("HF_HUB_OFFLINE", "0")]).network, read(&[]).address()), (NetworkAccess::Allowed, "https://huggingface.co"));
    }
}
