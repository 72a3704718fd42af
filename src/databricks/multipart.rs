//! `multipart/form-data` (RFC 7578), as SDK and CLI send `workspace.import_`: its fields are read, the file in it is not.

use super::catalogue::Operation;
use super::resources::IdFault;
use serde_json::{Map, Value};

/// The field that holds the file: databricks-sdk mixins/workspace.py, databricks/cli libs/filer.
const FILE: &str = "content";

/// Whether official clients send requests of `operation` as a form with a file.
#[must_use]
pub fn takes_form(operation: Operation) -> bool {
    operation.name() == "workspace.import_"
}

/// The fields of a form, but for its file, as if they were members of a JSON object.
///
/// # Errors
/// The form can be read in two ways: a field stands twice, or a part cannot be told from the next.
pub fn read_form_data(content_type: &str, body: &[u8]) -> Result<Map<String, Value>, IdFault> {
    let boundary = boundary(content_type).ok_or(IdFault::NotAForm)?;
    let mut fields = Map::new();
    let mut has_file = false;
    for part in parts(body, &boundary).ok_or(IdFault::NotAForm)? {
        let (name, is_file, content) = read_part(part).ok_or(IdFault::NotAForm)?;
        if name == FILE {
            if std::mem::replace(&mut has_file, true) {
                return Err(IdFault::NotAForm);
            }
            continue;
        }
        let text = std::str::from_utf8(content).ok().filter(|text| !is_file && !text.chars().any(char::is_control));
        let value = Value::String(text.ok_or(IdFault::NotAForm)?.to_owned());
        if fields.keys().any(|other: &String| other.eq_ignore_ascii_case(&name)) {
            return Err(IdFault::NotAForm);
        }
        fields.insert(name, value);
    }
    Ok(fields)
}

/// The only `boundary` of a content type, of the characters that need no quoting and no thought (RFC 2046 section 5.1.1 has more).
fn boundary(content_type: &str) -> Option<String> {
    let mut parameters = content_type.split(';');
    if !parameters.next()?.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let (name, value) = parameters.next()?.trim().split_once('=')?;
    let value = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'))?;
    let is_plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let is_boundary = name.eq_ignore_ascii_case("boundary") && (1..=70).contains(&value.len());
    (is_boundary && is_plain && parameters.next().is_none()).then(|| value.to_owned())
}

/// What stands between the delimiters: nothing before the first, nothing behind the last.
fn parts<'b>(body: &'b [u8], boundary: &str) -> Option<Vec<&'b [u8]>> {
    let delimiter = format!("--{boundary}");
    let mut rest = body.strip_prefix(delimiter.as_bytes())?;
    let mut found = Vec::new();
    loop {
        if let Some(end) = rest.strip_prefix(b"--") {
            return matches!(end, b"" | b"\r\n").then_some(found);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let at = position(rest, delimiter.as_bytes())?;
        // a reader that takes a bare line feed for the end of a line would see a delimiter that others do not
        let part = rest.get(..at)?.strip_suffix(b"\r\n")?;
        found.push(part);
        rest = rest.get(at.checked_add(delimiter.len())?..)?;
    }
}

fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// The name of a part, whether it is a file, and what it holds.
fn read_part(part: &[u8]) -> Option<(String, bool, &[u8])> {
    let at = position(part, b"\r\n\r\n")?;
    let (head, content) = (std::str::from_utf8(part.get(..at)?).ok()?, part.get(at.checked_add(4)?..)?);
    let mut disposition = None;
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "content-disposition" if disposition.is_none() => disposition = Some(value.trim()),
            "content-type" | "content-length" | "mime-version" => {}
            // a transfer encoding would make the text another, and nobody needs the rest
            _ => return None,
        }
    }
    let mut parameters = disposition?.split(';').map(str::trim);
    if parameters.next()? != "form-data" {
        return None;
    }
    let (mut name, mut is_file) = (None, false);
    for parameter in parameters {
        let (key, value) = parameter.split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        let is_plain = !value.contains(['"', '\\', '%']) && !value.chars().any(char::is_control);
        match key {
            "name" if name.is_none() && is_plain => name = Some(value.to_owned()),
            "filename" if !is_file => is_file = true,
            _ => return None,
        }
    }
    Some((name.filter(|name| !name.is_empty())?, is_file, content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TYPE: &str = "multipart/form-data; boundary=b-1";

    fn form(parts: &[&str]) -> Vec<u8> {
        let parts: String = parts.iter().map(|part| format!("--b-1\r\n{part}\r\n")).collect();
        format!("{parts}--b-1--\r\n").into_bytes()
    }

    fn field(name: &str, value: &str) -> String {
        format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}")
    }

    const FILE_PART: &str = "Content-Disposition: form-data; name=\"content\"; filename=\"x\"\r\nContent-Type: application/octet-stream\r\n\r\n\0\r\n{\"path\": 1}\n";

    #[test]
    fn fields_are_read_and_the_file_is_not() {
        let body = form(&[&field("path", "/Users/a b/x"), &field("overwrite", "true"), FILE_PART]);
        for content_type in [TYPE, "Multipart/Form-Data; Boundary=\"b-1\"", "multipart/form-data;boundary=b-1"] {
            let read = read_form_data(content_type, &body).unwrap();
            assert_eq!(Value::Object(read), json!({"path": "/Users/a b/x", "overwrite": "true"}));
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let twice = form(&[&field("path", "/a"), &field("path", "/b")]);
        let other_case = form(&[&field("path", "/a"), &field("Path", "/b")]);
        let two_files = form(&[FILE_PART, FILE_PART]);
        let a_file = form(&["Content-Disposition: form-data; name=\"path\"; filename=\"p\"\r\n\r\n/a"]);
        let encoded =
            form(&["Content-Disposition: form-data; name=\"path\"\r\nContent-Transfer-Encoding: base64\r\n\r\nL2E="]);
        let star = form(&["Content-Disposition: form-data; name*=utf-8''path\r\n\r\n/a"]);
        let no_quotes = form(&["Content-Disposition: form-data; name=path\r\n\r\n/a"]);
        let two_dispositions = form(&[
            "Content-Disposition: form-data; name=\"x\"\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\n/a",
        ]);
        let control = form(&[&field("path", "/a\r\n/b")]);
        let bare_line_feed =
            form(&[&field("x", "1\n--b-1\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\n/b")]);
        let longer = form(&[&field("x", "1\r\n--b-12")]);
        let before = [b"x\r\n".as_slice(), &form(&[&field("path", "/a")])].concat();
        let behind = [form(&[&field("path", "/a")]).as_slice(), b"--b-1\r\n".as_slice()].concat();
        let open = b"--b-1\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\n/a".to_vec();
        let cases = [
            twice,
            other_case,
            two_files,
            a_file,
            encoded,
            star,
            no_quotes,
            two_dispositions,
            control,
            bare_line_feed,
            longer,
            before,
            behind,
            open,
            Vec::new(),
        ];
        for body in cases {
            assert_eq!(read_form_data(TYPE, &body), Err(IdFault::NotAForm), "{}", String::from_utf8_lossy(&body));
        }
        let body = form(&[&field("path", "/a")]);
        for content_type in [
            "multipart/form-data",
            "multipart/form-data; boundary=b-1; boundary=b-2",
            "multipart/form-data; charset=utf-7; boundary=b-1",
            "multipart/mixed; boundary=b-1",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"b-1",
            "multipart/form-data; boundary=b-2",
        ] {
            assert_eq!(read_form_data(content_type, &body), Err(IdFault::NotAForm), "{content_type}");
        }
    }
}
