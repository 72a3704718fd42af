//! The files that a line of pip's requirements or a parameter of `spark-submit` names among other things.

use super::resources::IdFault;

/// The paths in `text`, as they are written: what begins with a slash, and what stands behind `file:` and `dbfs:`.
///
/// # Errors
/// Where a path leads cannot be told: it climbs, or something is put into it when it is read.
pub(super) fn named_in(text: &str) -> Result<Vec<&str>, IdFault> {
    if is_inline(text) {
        return Ok(Vec::new());
    }
    let words = text.split(|letter: char| letter.is_whitespace() || matches!(letter, ',' | '"' | '\''));
    words.filter_map(|word| path_in(word).transpose()).collect()
}

/// `data:image/jpeg;base64,/9j/4A`: a file's content, in which a slash is a letter.
fn is_inline(text: &str) -> bool {
    let content = text.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    content.is_some_and(|(_, content)| {
        content.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
    })
}

/// The path in a word: `-r/a`, `--requirement=/a`, `name@file:///a`, `/a[extra];marker`, `git+file:///a`.
fn path_in(word: &str) -> Result<Option<&str>, IdFault> {
    let value = value_of(word);
    if value.split('/').any(|segment| segment == "..") {
        return Err(IdFault::NotAnId);
    }
    if let Some(path) = behind(value, "file:/") {
        return in_url(path).map(Some);
    }
    if let Some(at) = place_of(value, "dbfs:/") {
        return Ok(value.get(at..).map(without_extras));
    }
    let path = if value.starts_with('/') { value } else { value.split_once('@').map_or(value, |(_, after)| after) };
    if value.contains("${") && !value.contains("://") {
        return Err(IdFault::NotAnId);
    }
    Ok(path.starts_with('/').then(|| without_extras(path)))
}

/// What an option is given: `--name=value`, `-rvalue`.
fn value_of(word: &str) -> &str {
    match word.strip_prefix('-') {
        Some(option) if option.starts_with('-') => option.split_once('=').map_or("", |(_, value)| value),
        Some(option) => option.get(1..).unwrap_or_default(),
        None => word,
    }
}

fn place_of(text: &str, scheme: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(scheme)
}

/// What stands behind `scheme`, with the slash that it ends with.
fn behind<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let at = place_of(text, scheme)?.checked_add(scheme.len())?.checked_sub(1)?;
    text.get(at..)
}

/// The path of a `file:` URL, which is read percent-decoded.
fn in_url(rest: &str) -> Result<&str, IdFault> {
    let path = rest.strip_prefix("//localhost").unwrap_or(rest);
    let slashes = path.len().saturating_sub(path.trim_start_matches('/').len());
    if path.contains('%') || slashes == 2 {
        return Err(IdFault::NotAnId);
    }
    path.get(slashes.saturating_sub(1)..).map(without_extras).ok_or(IdFault::NotAnId)
}

fn without_extras(path: &str) -> &str {
    path.split(['[', ';', '#']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_wherever_pip_and_spark_submit_read_them() {
        for (text, paths) in [
            ("numpy==1.26", &[] as &[&str]),
            ("name[extra]>=2; python_version>'3.8'", &[]),
            ("https://host/a/b.whl", &[]),
            ("name @ https://host/a.whl", &[]),
            ("--extra-index-url https://${TOKEN}@host/simple", &[]),
            ("org.example:name:1.0", &[]),
            ("profiles", &[]),
            ("/Volumes/a/b/c/d.whl", &["/Volumes/a/b/c/d.whl"]),
            ("/Workspace/a/d.whl[x,y]; os_name=='posix'", &["/Workspace/a/d.whl"]),
            ("-r /Workspace/a.txt", &["/Workspace/a.txt"]),
            ("-r/Workspace/a.txt", &["/Workspace/a.txt"]),
            ("--requirement=/Workspace/a.txt", &["/Workspace/a.txt"]),
            ("-e /Workspace/a", &["/Workspace/a"]),
            ("name @ file:///Workspace/a.whl", &["/Workspace/a.whl"]),
            ("name@FILE:/Workspace/a.whl", &["/Workspace/a.whl"]),
            ("name@file://localhost/Workspace/a.whl", &["/Workspace/a.whl"]),
            ("git+file:///Workspace/a#egg=a", &["/Workspace/a"]),
            ("dbfs:/a/b.jar", &["dbfs:/a/b.jar"]),
            ("--py-files", &[]),
            ("dbfs:/a.py,/Volumes/a/b/c/d.py", &["dbfs:/a.py", "/Volumes/a/b/c/d.py"]),
            ("'/Workspace/a.whl'", &["/Workspace/a.whl"]),
            ("data:image/jpeg;base64,/9j/4AAQ", &[]),
            ("data:x;base64,/9j,dbfs:/a", &["/9j", "dbfs:/a"]),
        ] {
            assert_eq!(named_in(text).as_deref(), Ok(paths), "{text}");
        }
    }

    #[test]
    fn what_leads_nobody_knows_where_is_refused() {
        for text in [
            "../a",
            "a/../../b",
            "/Workspace/a/../b",
            "file:///Workspace/%2e%2e/b",
            "file://elsewhere/a",
            "${ROOT}Workspace/a",
            "/Workspace/team/a /../../b",
        ] {
            assert_eq!(named_in(text), Err(IdFault::NotAnId), "{text}");
        }
    }
}
