//! Kong's own settings, without which the filter works badly or a worker dies, or the native plugin is not there: `kong.conf`, or the same settings as variables of an
//! environment (`KONG_NAME=value`, a line each).

use super::codes;
use crate::findings::{Finding, Kind};
use std::collections::BTreeMap;
use std::ops::Range;

/// A setting that must be so.
struct Wanted {
    /// Names by which it may be given; the first is the one that is advised.
    names: &'static [&'static str],
    value: Wants,
    kind: &'static Kind,
    /// What happens otherwise.
    otherwise: &'static str,
}

/// What a setting's value must be.
enum Wants {
    /// This.
    Exactly(&'static str),
    /// A list, separated by commas or blanks, with this in it; and the whole that is advised.
    With(&'static str, &'static str),
    /// Anything, such as this.
    Some(&'static str),
}

use Wants::{Exactly, With};

const WANTED: [Wanted; 8] = [
    wanted(
        &["wasm"],
        Exactly("on"),
        &codes::WASM_OFF,
        "with a database Kong then serves the routes without the filter; without one it does not start",
    ),
    wanted(
        &["nginx_proxy_lingering_close", "nginx_http_lingering_close"],
        Exactly("off"),
        &codes::DEADLY_RESETS,
        "one client without a token that resets its connection while its body is refused ends a worker process",
    ),
    setting(
        &["untrusted_lua_sandbox_requires"],
        With("resty.wasmx.proxy_wasm", "resty.wasmx.proxy_wasm"),
        "a configuration that changes a chain while requests wait for callouts ends a worker process",
    ),
    setting(
        &["nginx_http_proxy_wasm_lua_resolver"],
        Exactly("off"),
        "after some 12,600 callouts to names each worker's callouts fail for good",
    ),
    setting(
        &["nginx_wasm_resolver", "nginx_http_resolver"],
        Wants::Some("<address of your DNS server>"),
        "nginx's resolver reads neither /etc/resolv.conf nor /etc/hosts: the filter finds no host by name",
    ),
    setting(
        &["nginx_http_client_body_buffer_size", "nginx_proxy_client_body_buffer_size"],
        Wants::Some("1m"),
        "a rule that looks into a body can read none of more than 8k",
    ),
    setting(
        &["nginx_proxy_set"],
        With("$databricks_audit", "$databricks_audit $databricks_audit"),
        "records do not reach Kong's log plugins",
    ),
    setting(
        &["nginx_proxy_underscores_in_headers"],
        Exactly("off"),
        "Kong lets headers with underscores through, which some servers read as those with hyphens",
    ),
];

const PLUGINS: &str = "bundled,databricks-kong,databricks-kong-late";

/// What the native plugin needs.
const WANTED_BY_PLUGIN: [Wanted; 2] = [
    wanted(
        &["plugins"],
        With("databricks-kong", PLUGINS),
        &codes::PLUGIN_OFF,
        "Kong knows no plugin `databricks-kong`, and refuses a file that uses it",
    ),
    wanted(
        &["plugins"],
        With("databricks-kong-late", PLUGINS),
        &codes::PLUGIN_OFF,
        "Kong knows no plugin `databricks-kong-late`, without which `databricks-kong` refuses every request",
    ),
];

const fn wanted(names: &'static [&'static str], value: Wants, kind: &'static Kind, otherwise: &'static str) -> Wanted {
    Wanted { names, value, kind, otherwise }
}

const fn setting(names: &'static [&'static str], value: Wants, otherwise: &'static str) -> Wanted {
    wanted(names, value, &codes::SETTING, otherwise)
}

impl Wants {
    fn is_met_by(&self, value: &str) -> bool {
        match self {
            Self::Exactly(wanted) => value == *wanted,
            Self::With(wanted, _) => value.split([',', ' ']).any(|one| one.trim() == *wanted),
            Self::Some(_) => !value.is_empty(),
        }
    }

    const fn advised(&self) -> &'static str {
        match self {
            Self::Exactly(value) | Self::With(_, value) | Self::Some(value) => value,
        }
    }
}

/// What is missing from Kong's settings, or is not what the filter needs, or the native plugin where they name it and no filter.
pub(crate) fn lint(text: &str) -> Vec<Finding> {
    let settings = settings(text);
    let names_plugin = settings.get("plugins").is_some_and(|setting| setting.value.contains("databricks-kong"));
    let is_for_plugin = names_plugin && settings.get("wasm").is_none_or(|setting| setting.value != "on");
    let wanted = if is_for_plugin { &WANTED_BY_PLUGIN[..] } else { &WANTED[..] };
    wanted.iter().filter_map(|wanted| wanted.finding(&settings)).collect()
}

impl Wanted {
    fn finding(&self, settings: &BTreeMap<String, Setting<'_>>) -> Option<Finding> {
        let given = self.names.iter().find_map(|name| settings.get(*name));
        if given.is_some_and(|setting| self.value.is_met_by(setting.value)) {
            return None;
        }
        let name = self.names.first()?;
        let message = match given {
            Some(setting) => format!("`{name}` is `{}`: {}", setting.value, self.otherwise),
            None => format!("`{name}` is not set: {}", self.otherwise),
        };
        Some(Finding {
            kind: self.kind,
            pointer: format!("/{name}"),
            place: given.map_or(0..0, |setting| setting.place.clone()),
            message,
            help: Some(format!("set `{name} = {}`", self.value.advised())),
            related: None,
        })
    }
}

#[derive(Debug)]
struct Setting<'t> {
    value: &'t str,
    place: Range<usize>,
}

/// Each setting by its name in `kong.conf`; the last of several, as Kong takes it.
fn settings(text: &str) -> BTreeMap<String, Setting<'_>> {
    let mut found = BTreeMap::new();
    let mut start = 0_usize;
    for line in text.split_inclusive('\n') {
        let place = start..start.saturating_add(line.trim_end().len());
        start = start.saturating_add(line.len());
        // Kong, too, takes what stands behind ` #` for a comment
        let said = line.split(" #").next().unwrap_or_default().trim();
        if let Some((name, value)) = said.split_once('=').filter(|_| !said.starts_with('#')) {
            let name = name.trim().to_ascii_lowercase();
            let name = name.strip_prefix("kong_").unwrap_or(&name).to_owned();
            found.insert(name, Setting { value: value.trim().trim_matches(['"', '\'']), place });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "wasm = on\nnginx_proxy_lingering_close = off\nnginx_http_proxy_wasm_lua_resolver = off # leaks\n\
                        nginx_wasm_resolver = 10.0.0.53\nnginx_http_client_body_buffer_size = 1m\n\
                        untrusted_lua_sandbox_requires = a.b, resty.wasmx.proxy_wasm\n\
                        nginx_proxy_set = $databricks_audit $databricks_audit\nnginx_proxy_underscores_in_headers = off\n";

    fn found(text: &str) -> Vec<(&'static str, String)> {
        lint(text).into_iter().map(|finding| (finding.kind.code, finding.pointer)).collect()
    }

    #[test]
    fn settings_that_are_as_they_should_be_are_clean_in_either_form() {
        assert_eq!(found(GOOD), []);
        let environment: String = GOOD
            .lines()
            .filter_map(|line| line.split_once(" = "))
            .map(|(name, value)| format!("KONG_{}={}\n", name.to_uppercase(), value.trim_end_matches(" # leaks")))
            .collect();
        assert_eq!(found(&environment), []);
    }

    #[test]
    fn settings_that_name_the_native_plugin_are_held_to_what_it_needs() {
        assert_eq!(found("plugins = bundled,databricks-kong,databricks-kong-late\n"), []);
        let missed = [("E112", "/plugins".to_owned())];
        assert_eq!(found("KONG_PLUGINS=bundled,databricks-kong\n"), missed);
        assert_eq!(found("plugins = bundled, databricks-kong-late\n"), missed);
        // a node that runs the filter, too
        let both = format!("{GOOD}plugins = bundled,databricks-kong\nwasm = off\nwasm = on\n");
        assert_eq!(found(&both), []);
        assert_eq!(found("plugins = bundled\n").first().unwrap().0, "E111");
    }

    #[test]
    fn each_setting_is_missed_by_its_name_and_a_wrong_one_is_shown() {
        for line in GOOD.lines() {
            let name = line.split(" = ").next().unwrap();
            let code = match name {
                "nginx_proxy_lingering_close" => "E110",
                "wasm" => "E111",
                _ => "W110",
            };
            let without = GOOD.replace(line, "");
            assert_eq!(found(&without), [(code, format!("/{name}"))], "{line}");
            assert_eq!(found(&GOOD.replace(line, &format!("# {line}"))), [(code, format!("/{name}"))], "{line}");
        }
        let on = GOOD.replace("lingering_close = off", "lingering_close = on");
        let finding = lint(&on).pop().unwrap();
        assert_eq!(on.get(finding.place).unwrap(), "nginx_proxy_lingering_close = on");
        assert!(finding.message.starts_with("`nginx_proxy_lingering_close` is `on`: "), "{}", finding.message);
    }
}
