//! What the configuration can ask for: a name, and for some a value after a space.

/// One way to misbehave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Misdeed {
    /// Traps when a request begins.
    TrapInRequestHeaders,
    /// Traps at a piece of a request's body.
    TrapInRequestBody,
    /// Asks this upstream for something, holds the request and traps at the answer.
    TrapInCallout(String),
    /// The same, but lets the request go on meanwhile.
    TrapBesideCallout(String),
    /// Traps when the answer begins.
    TrapInResponseHeaders,
    /// Answers each request itself, with this body.
    Answer(String),
    /// Puts this in the place of the credential.
    SetAuthorization(String),
    /// Adds this beside the credential.
    AddAuthorization(String),
    /// Takes the credential off.
    RemoveAuthorization,
    /// Sends the request elsewhere.
    SetPath(String),
    /// Sends another body.
    SetBody(String),
    /// Asks this upstream for something and lets the request go on meanwhile.
    CallOut(String),
    /// The same, and at the answer lets a request go on that it does not hold.
    ResumeUnasked(String),
    /// Holds each request for ever.
    NeverResume,
}

impl Misdeed {
    /// Reads a configuration; `None` for a name that it does not know, or a value too many or too few.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (name, value) = match text.split_once(' ') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        match value {
            None => Self::plain(name),
            Some(value) => Self::with_value(name, value),
        }
    }

    fn plain(name: &str) -> Option<Self> {
        Some(match name {
            "trap_in_request_headers" => Self::TrapInRequestHeaders,
            "trap_in_request_body" => Self::TrapInRequestBody,
            "trap_in_response_headers" => Self::TrapInResponseHeaders,
            "remove_authorization" => Self::RemoveAuthorization,
            "never_resume" => Self::NeverResume,
            _ => return None,
        })
    }

    fn with_value(name: &str, value: String) -> Option<Self> {
        Some(match name {
            "trap_in_callout" => Self::TrapInCallout(value),
            "trap_beside_callout" => Self::TrapBesideCallout(value),
            "answer" => Self::Answer(value),
            "set_authorization" => Self::SetAuthorization(value),
            "add_authorization" => Self::AddAuthorization(value),
            "set_path" => Self::SetPath(value),
            "set_body" => Self::SetBody(value),
            "call_out" => Self::CallOut(value),
            "resume_unasked" => Self::ResumeUnasked(value),
            _ => return None,
        })
    }
}
