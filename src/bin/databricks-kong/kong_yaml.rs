//! How Kong reads a plain scalar of YAML: by lyaml 6.2.8, which means YAML 1.1 and more, where decK, Envoy and this tool read YAML 1.2.
//!
//! `yes` is a truth value there, `0123` is 83, `1_000` and `12:30:45` are numbers; and every number is one of LuaJIT's, which has 53 bits.
//! The order and the patterns are those of `lib/lyaml/implicit.lua`.

use serde_json::{Number, Value};

/// What Kong reads; `None` if that is the text itself.
pub(crate) fn plain(text: &str) -> Option<Value> {
    // nearly all texts begin with none of these
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-._~yYnNoOtTfF".contains(first)) {
        return text.is_empty().then_some(Value::Null);
    }
    if matches!(text, "~" | "null" | "Null" | "NULL") {
        return Some(Value::Null);
    }
    truth(text).map(Value::Bool).or_else(|| Number::from_f64(number(text)?).map(Value::Number))
}

/// Whether two readings of a scalar come to the same.
pub(crate) fn same(kong: &Value, ours: &Value) -> bool {
    match (kong, ours) {
        (Value::Number(kong), Value::Number(ours)) => {
            let same_whole = || Some(ours.as_i64()? == whole(kong.as_f64()?)?);
            same_whole().unwrap_or_else(|| kong.as_f64() == ours.as_f64())
        }
        _ => kong == ours,
    }
}

/// The whole number that a number of Lua's is, if it is one.
#[expect(clippy::cast_possible_truncation, reason = "what does not fit is no number that was written")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9.3e18).then_some(number as i64)
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn number(text: &str) -> Option<f64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let whole = octal(rest).or_else(|| decimal(rest));
    let signed = |number: Option<f64>| number.map(|number| sign * number);
    signed(whole)
        .or_else(|| float(text))
        .or_else(|| signed(based(rest, "0x", 16)))
        .or_else(|| signed(binary(rest)))
        .or_else(|| signed(sexagesimal(rest)))
}

/// The value of digits in a base, underscores left out; nothing if there are none, or other letters.
fn digits(text: &str, base: u32) -> Option<f64> {
    let mut letters = text.chars().filter(|letter| *letter != '_').peekable();
    letters.peek()?;
    letters.try_fold(0.0, |number: f64, letter| Some(number * f64::from(base) + f64::from(letter.to_digit(base)?)))
}

fn octal(text: &str) -> Option<f64> {
    digits(text.strip_prefix('0')?, 8)
}

fn decimal(text: &str) -> Option<f64> {
    let plain = text.replace('_', "");
    (!plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit())).then(|| plain.parse().ok())?
}

fn float(text: &str) -> Option<f64> {
    let plain = text.replace('_', "");
    let is_one =
        plain.contains(['.', 'e', 'E']) && plain.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    is_one.then(|| plain.parse().ok())?
}

fn based(text: &str, prefix: &str, base: u32) -> Option<f64> {
    digits(text.strip_prefix(prefix)?, base)
}

/// Of two digits at least: that is what lyaml's pattern wants.
fn binary(text: &str) -> Option<f64> {
    let rest = text.strip_prefix("0b")?.trim_start_matches('_');
    if rest.len() < 2 { None } else { digits(rest, 2) }
}

fn sexagesimal(text: &str) -> Option<f64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => {
            let is_one = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
            (whole, is_one.then(|| format!("0.{fraction}").parse().ok())??)
        }
        None => (text, 0.0),
    };
    let (first, second) = whole.split_once(':')?;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let starts = second.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    let is_one = is_number(first) && starts && second.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    if !is_one {
        return None;
    }
    let parts = whole.split(':').filter(|part| !part.is_empty());
    let number = parts.map(|part| part.parse::<f64>().ok()).try_fold(0.0, |number, part| Some(number * 60.0 + part?));
    number.map(|number| number + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_are_read_as_lyaml_reads_them() {
        // each was read by lyaml 6.2.8
        for (text, expected) in [
            ("yes", json!(true)),
            ("No", json!(false)),
            ("ON", json!(true)),
            ("off", json!(false)),
            ("~", json!(null)),
            ("0123", json!(83)),
            ("0_17", json!(15)),
            ("089", json!(89)),
            ("1_000", json!(1000)),
            ("_1", json!(1)),
            ("-1_0", json!(-10)),
            ("12:30:45", json!(45045)),
            ("1:30", json!(90)),
            ("12:75", json!(795)),
            ("1:2::3", json!(3723)),
            ("1:30.5", json!(90.5)),
            ("0x1F", json!(31)),
            ("0b1010", json!(10)),
            ("1_0.5", json!(10.5)),
            ("1e3", json!(1000)),
        ] {
            let read = plain(text).unwrap_or_else(|| panic!("{text} is a text"));
            assert!(same(&read, &expected), "{text}: {read}");
        }
        for text in [
            "y",
            "n",
            "yEs",
            "0923-164208",
            "2026-11-01",
            "2026-11-01T00:00:00Z",
            "team-a",
            "0o17",
            "1.2.3",
            "a:b",
            "10.0.0.1",
            "_",
            "+",
            "-",
            ".",
            "e1",
            "0x",
            "0b1",
            "on-call",
            "off_",
            "none",
            "7f",
            "1,000",
        ] {
            assert_eq!(plain(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_that_lua_cannot_hold_is_another_one() {
        assert!(same(&plain("7405619408829168").unwrap(), &json!(7_405_619_408_829_168_i64)));
        assert!(!same(&plain("9007199254740993").unwrap(), &json!(9_007_199_254_740_993_i64)));
    }
}
