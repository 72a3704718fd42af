//! The commands, and what they have in common: a configuration, a database, and how they fail.

pub(crate) mod add;
pub(crate) mod check;
pub(crate) mod list;
pub(crate) mod remove;
pub(crate) mod serve;

use crate::{Exit, Files};
use revocations::config::Config;
use revocations::entry::Kind;
use revocations::store::{self, Store};

/// Reads the configuration, or says what is wrong with it.
fn config(files: &Files) -> Result<Config, Exit> {
    Config::read(&files.config, files.kong.as_deref()).map_err(|errors| {
        for error in errors {
            eprintln!("{error}");
        }
        Exit::Invalid
    })
}

fn open(config: &Config) -> Result<Box<dyn Store>, Exit> {
    store::open(&config.database).map_err(|error| fail(&error.to_string()))
}

fn fail(message: &str) -> Exit {
    eprintln!("error: {message}");
    Exit::Failure
}

/// Whose tokens are meant.
#[derive(clap::Args, Clone, Debug)]
struct Whose {
    /// The identity provider's name
    #[arg(long, value_name = "NAME")]
    provider: String,
    /// By what the tokens are known: the value of `claims.subject`, `jti`, the client, `sid`, or nothing at all
    #[arg(value_enum)]
    kind: KindWord,
    /// The value; none for everyone
    #[arg(required_if_eq_any = [("kind", "subject"), ("kind", "token"), ("kind", "client"), ("kind", "session")])]
    value: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum KindWord {
    Subject,
    Token,
    Client,
    Session,
    Everyone,
}

impl From<KindWord> for Kind {
    fn from(word: KindWord) -> Self {
        match word {
            KindWord::Subject => Self::Subject,
            KindWord::Token => Self::Token,
            KindWord::Client => Self::Client,
            KindWord::Session => Self::Session,
            KindWord::Everyone => Self::Everyone,
        }
    }
}

impl Whose {
    fn check(&self, config: &Config) -> Result<(), Exit> {
        if config.provider(&self.provider).is_some() {
            return Ok(());
        }
        let names: Vec<_> = config.providers.iter().map(|provider| format!("`{}`", provider.name)).collect();
        Err(fail(&format!("`{}` is no identity provider's name; known are {}", self.provider, names.join(", "))))
    }
}
