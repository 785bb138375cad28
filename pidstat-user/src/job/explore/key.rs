//! The key of a run: who does not know the address that was printed is not answered.

use std::{
    fs::{self, OpenOptions},
    hint::black_box,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

/// A number that nobody guesses, as 32 hexadecimal digits: the first directory of every address.
#[derive(Debug)]
pub struct Key(String);

impl Key {
    /// A new one, from the kernel's random numbers.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub fn new() -> io::Result<Key> {
        let mut bytes = [0_u8; 16];
        // SAFETY: the buffer is as long as is said and lives through the call. So few bytes come all at once.
        let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        if filled != bytes.len() as isize {
            return Err(io::Error::last_os_error());
        }
        Ok(Key(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// As it stands in an address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a path begins with it. It takes as long for a key that is nearly right as for one that is not at all.
    pub fn opens(&self, path: &str) -> bool {
        let given =
            path.strip_prefix('/').and_then(|rest| rest.split_once('/')).map_or("", |(first, _)| first);
        let same =
            given.bytes().zip(self.0.bytes()).fold(0, |differing, (a, b)| black_box(differing | (a ^ b)));
        given.len() == self.0.len() && same == 0
    }
}

/// A page for the browser that leads to another. The address cannot be an argument: every user of the machine reads those.
#[derive(Debug)]
pub struct Gate(PathBuf);

impl Gate {
    /// Writes it where only this user reads, until it is dropped.
    ///
    /// # Errors
    /// When there is no place for it.
    pub fn to(page: &str) -> io::Result<Gate> {
        let place = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let path = place.join(format!("kpidstat-explore-{}.html", Key::new()?.as_str()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let gate = Gate(path);
        writeln!(
            file,
            "<!doctype html><meta http-equiv=\"refresh\" content=\"0; url={page}\"><a href=\"{page}\">explore</a>"
        )?;
        Ok(gate)
    }

    /// Where it is.
    pub fn path(&self) -> &PathBuf {
        &self.0
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // What is gone needs no removing.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::{Gate, Key};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn only_the_whole_key_opens() {
        let (key, other) = (Key::new().unwrap(), Key::new().unwrap());
        let text = key.as_str();
        assert!(text.len() == 32 && text != other.as_str());
        assert!(key.opens(&format!("/{text}/")) && key.opens(&format!("/{text}/views")));
        let changed = format!("{}{}", &text[..31], if text.ends_with('0') { '1' } else { '0' });
        for path in
            ["", "/", "//", "/views", &format!("/{text}"), &format!("{text}/"), &format!("/x/{text}/")]
        {
            assert!(!key.opens(path), "{path}");
        }
        for given in [
            &text[..31],
            &format!("{text}0"),
            &changed,
            &text.to_uppercase().replace(|c: char| c.is_ascii_digit(), "A"),
        ] {
            assert!(!key.opens(&format!("/{given}/views")), "{given}");
        }
    }

    #[test]
    fn the_gate_is_this_users_and_goes_with_the_run() {
        let gate = Gate::to("http://127.0.0.1:1/k/").unwrap();
        let path = gate.path().clone();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(&path).unwrap().contains("url=http://127.0.0.1:1/k/\""));
        drop(gate);
        assert!(!path.exists());
    }
}
