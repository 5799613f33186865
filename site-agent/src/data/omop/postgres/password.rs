//! The database's password, from a file that only the agent's user can read: alone in it, or in libpq's format.

use super::config::{Config, Host, PasswordSource};
use super::error::InvalidDatabase;
use crate::files::{self, FileError};
use crate::toml_keys::FILE_BYTES_MAX;
use zeroize::Zeroizing;

/// The password; none where the server is expected to know the role otherwise.
pub(super) fn password(config: &Config) -> Result<Option<Zeroizing<String>>, InvalidDatabase> {
    match &config.password {
        PasswordSource::None => Ok(None),
        PasswordSource::File(path) => {
            let text = files::read_private_text(path, FILE_BYTES_MAX as u64)?;
            let password = text.strip_suffix('\n').unwrap_or(&text);
            let password = password.strip_suffix('\r').unwrap_or(password);
            if password.is_empty() || password.contains('\n') {
                return Err(FileError::malformed(path, "a password, alone on one line").into());
            }
            Ok(Some(Zeroizing::new(password.to_owned())))
        }
        PasswordSource::PassFile(path) => {
            let text = files::read_private_text(path, FILE_BYTES_MAX as u64)?;
            Ok(text.lines().find_map(|line| of_line(line, config)))
        }
    }
}

/// `host:port:database:user:password`; `*` is any, `\:` and `\\` are characters. A Unix socket is `localhost` or its folder.
fn of_line(line: &str, config: &Config) -> Option<Zeroizing<String>> {
    if line.starts_with('#') {
        return None;
    }
    let (host, rest) = field(line)?;
    let (port, rest) = field(rest)?;
    let (database, rest) = field(rest)?;
    let (user, rest) = field(rest)?;
    let is = |pattern: &(bool, Zeroizing<String>), value: &str| pattern.0 || pattern.1.as_str() == value;
    let host_is = match &config.host {
        Host::Network(name) => is(&host, name),
        Host::Socket(folder) => {
            is(&host, "localhost") || folder.to_str().is_some_and(|folder| is(&host, folder))
        }
    };
    let matches = host_is
        && is(&port, &config.port.to_string())
        && is(&database, &config.database)
        && is(&user, &config.user);
    // The password's own colons need no backslash.
    matches.then(|| unescaped(rest))
}

/// A field, whether it is `*`, and what follows its colon.
fn field(text: &str) -> Option<((bool, Zeroizing<String>), &str)> {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b':' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    let raw = &text[..end];
    Some(((raw == "*", unescaped(raw)), &text[end + 1..]))
}

fn unescaped(text: &str) -> Zeroizing<String> {
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn config(more: &str, pass_file: Option<&Path>, folder: &Path) -> Config {
        let text = format!("[postgres]\nhost='h'\nport=1\ndatabase='d:1'\nuser='u'\nschema='s'\n{more}");
        Config::parse(&text, folder, pass_file).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    #[test]
    fn in_the_format_of_libpq() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            let dir = tempfile::tempdir().expect("folder");
            let path = dir.path().join("pgpass");
            files::write(&path, text.as_bytes()).expect("written");
            let found = password(&config("", Some(&path), dir.path())).expect("reads");
            assert_eq!(found.as_deref().map(String::as_str), expected, "{text}");
        }
        check("", None);
        check("h:1:d\\:1:u:secret", Some("secret"));
        check("h:1:d\\:1:u:secret\n", Some("secret"));
        check("h:1:d\\:1:u:se:c\\\\r\\:et", Some("se:c\\r:et"));
        check("*:*:*:*:any", Some("any"));
        check("#*:*:*:*:comment\n\nh:1:*:u:second\n*:*:*:*:third", Some("second"));
        check("other:1:*:u:x\nh:2:*:u:x\nh:1:d:u:x\nh:1:*:v:x\nh:1:*:*:this", Some("this"));
        // A star that is escaped is a star.
        check("\\*:1:*:u:x", None);
        check("h:1:*:u", None);
    }

    #[test]
    fn a_socket_is_this_machine() {
        let socket = "[postgres]\nhost='/run/x'\ndatabase='d'\nuser='u'\nschema='s'";
        let config = Config::parse(socket, Path::new(""), None).expect("parses");
        for (line, found) in [("localhost:5432:d:u:x", true), ("/run/x:*:d:u:x", true), ("h:*:d:u:x", false)]
        {
            assert_eq!(of_line(line, &config).is_some(), found, "{line}");
        }
    }

    #[test]
    fn alone_in_a_file() {
        #[track_caller]
        fn check(text: &str, expected: Result<&str, &str>) {
            let dir = tempfile::tempdir().expect("folder");
            files::write(&dir.path().join("password"), text.as_bytes()).expect("written");
            match (password(&config("password_file='password'", None, dir.path())), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.as_deref().map(String::as_str), Some(expected)),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, _) => panic!("{text:?}: {:?}", found.map(|_| ())),
            }
        }
        check("secret", Ok("secret"));
        check("secret\r\n", Ok("secret"));
        check(" with spaces \n", Ok(" with spaces "));
        check("\n", Err("expected a password"));
        check("one\ntwo\n", Err("expected a password"));
    }

    #[cfg(unix)]
    #[test]
    fn others_must_not_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("password");
        fs::write(&path, "secret").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("mode");
        for config in
            [config("password_file='password'", None, dir.path()), config("", Some(&path), dir.path())]
        {
            let error = password(&config).map(|_| ()).expect_err("open to others").to_string();
            assert!(error.contains("chmod 600") && !error.contains("secret"), "{error}");
        }
    }
}
