//! The config in force, as it may be shown.

use super::Control;

impl Control {
    /// The config in force as YAML, every default filled in, without what is or may be secret.
    #[must_use]
    pub fn config_shown(&self) -> String {
        self.board.config().map_or_else(String::new, |config| config::to_shown_yaml(&config))
    }

    /// The file that it came from, if it is in one.
    #[must_use]
    pub fn config_file(&self) -> Option<String> {
        self.file.as_ref().map(|file| file.display().to_string())
    }
}
