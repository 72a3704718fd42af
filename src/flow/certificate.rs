//! Tokens that are bound to a client certificate (RFC 8705): whoever sends one must have shown that certificate in TLS.

use super::refusal::Refusal;
use crate::base::der::{Der, SEQUENCE};
use crate::base::from_pem;
use crate::config::ClientCertificate;
use crate::jwt::{CONFIRMATION, Caller, ClaimPath, TokenError};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The name of the certificate's digest in the claim `cnf` (RFC 8705 section 3.1).
const X5T_S256: &str = "x5t#S256";

/// SHA-256 over the DER of the certificate that a client has shown in TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateDigest([u8; 32]);

impl CertificateDigest {
    /// Of a certificate as nginx gives it (`ssl_client_raw_cert`): PEM. `None` if it is none.
    #[must_use]
    pub fn of_pem(pem: &[u8]) -> Option<Self> {
        let (label, der) = from_pem(std::str::from_utf8(pem).ok()?.trim())?;
        (label == "CERTIFICATE" && Der::new(&der).only(SEQUENCE).is_some()).then(|| Self::of_der(&der))
    }

    /// As Envoy gives it (`connection.sha256_peer_certificate_digest`): 64 hex digits.
    #[must_use]
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let (pairs, rest) = text.as_chunks::<2>();
        if !rest.is_empty() {
            return None;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        Some(Self(bytes?.try_into().ok()?))
    }

    /// Of a certificate as a TLS terminator hands it on in `Client-Cert` (RFC 9440 section 2.2): DER, as a byte sequence of structured
    /// fields. One value, without parameters.
    #[must_use]
    pub fn of_field(value: &[u8]) -> Option<Self> {
        let encoded = value.trim_ascii().strip_prefix(b":")?.strip_suffix(b":")?;
        let der = STANDARD.decode(encoded).ok()?;
        (!der.is_empty()).then(|| Self::of_der(&der))
    }

    fn of_der(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

/// What a client has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// No certificate.
    #[default]
    Nothing,
    /// Something that cannot be read as one.
    Unreadable,
    /// This one.
    Certificate(CertificateDigest),
}

impl Shown {
    /// What a host says of a certificate, as `read` understands it. Empty is none.
    pub fn read(text: &[u8], read: impl FnOnce(&[u8]) -> Option<CertificateDigest>) -> Self {
        if text.trim_ascii().is_empty() {
            return Self::Nothing;
        }
        read(text).map_or(Self::Unreadable, Self::Certificate)
    }
}

/// Refuses a caller who must show another certificate, or any.
pub(super) fn check(caller: &Caller, shown: Shown, demand: ClientCertificate) -> Result<(), Refusal> {
    let bound = match demand {
        ClientCertificate::Off => return Ok(()),
        ClientCertificate::Bound | ClientCertificate::Required => bound_to(caller)?,
    };
    match (bound, shown) {
        (Some(bound), Shown::Certificate(shown)) if shown == bound => Ok(()),
        (Some(_), Shown::Certificate(_)) => Err(Refusal::CertificateMismatch),
        (None, Shown::Certificate(_)) => Ok(()),
        (None, Shown::Nothing) if demand == ClientCertificate::Bound => Ok(()),
        (_, Shown::Nothing | Shown::Unreadable) => Err(Refusal::CertificateRequired),
    }
}

/// The certificate that the caller's token is bound to. What is there and cannot be read is not taken for none.
fn bound_to(caller: &Caller) -> Result<Option<CertificateDigest>, TokenError> {
    let wrong = || TokenError::ClaimType(CONFIRMATION.to_owned());
    let confirmation = match caller.claim(&ClaimPath::name(CONFIRMATION)) {
        None => return Ok(None),
        Some(Value::Object(confirmation)) => confirmation,
        Some(_) => return Err(wrong()),
    };
    let digest = match confirmation.get(X5T_S256) {
        None => return Ok(None),
        Some(Value::String(digest)) => URL_SAFE_NO_PAD.decode(digest).map_err(|_| wrong())?,
        Some(_) => return Err(wrong()),
    };
    Ok(Some(CertificateDigest(digest.try_into().map_err(|_| wrong())?)))
}

#[cfg(test)]
#[allow(clippy::string_slice, reason = "hexadecimal digits are ASCII")]
mod tests {
    use super::*;
    use crate::jwt::testing;
    use serde_json::json;

    /// A certificate that OpenSSL made, and what OpenSSL and Python say of it.
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIBZjCCAQygAwIBAgIBATAKBggqhkjOPQQDAjARMQ8wDQYDVQQDDAZjbGllbnQw\nIBcNMjYxMTI2MTcxMTI3WhgPMjEyNjExMDIxNzExMjdaMBExDzANBgNVBAMMBmNs\naWVudDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJvMjq1dUY+ggvg8yOWWERtL\nnsOOSHLzmfIC8zy+EtBCxtx5ZQG4S/K2vmlshX4bLUUwB7UwNcAaQ5GkEyHnmvOj\nUzBRMB0GA1UdDgQWBBSQSL4sBeCKuWH6yxi/Necwixm55DAfBgNVHSMEGDAWgBSQ\nSL4sBeCKuWH6yxi/Necwixm55DAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMC\nA0gAMEUCIB8QppAA7JR2OjAj58kZ+hmUep/QW7syke8DwygFjDKuAiEA6YG/9ViL\n6RWJiGGMSVmm4iCX3Ojnre4KVjYdwac/dVM=\n-----END CERTIFICATE-----\n";
    const HEX: &str = "2f5e9ab5ef222db2c26af55552815ac3fe16b47b17d830aee6a3e3ce97e34b14";
    const DIGEST: &str = "L16ate8iLbLCavVVUoFaw_4WtHsX2DCu5qPjzpfjSxQ";
    const DER: &str = "MIIBZjCCAQygAwIBAgIBATAKBggqhkjOPQQDAjARMQ8wDQYDVQQDDAZjbGllbnQwIBcNMjYxMTI2MTcxMTI3WhgPMjEyNjExMDIxNzExMjdaMBExDzANBgNVBAMMBmNsaWVudDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJvMjq1dUY+ggvg8yOWWERtLnsOOSHLzmfIC8zy+EtBCxtx5ZQG4S/K2vmlshX4bLUUwB7UwNcAaQ5GkEyHnmvOjUzBRMB0GA1UdDgQWBBSQSL4sBeCKuWH6yxi/Necwixm55DAfBgNVHSMEGDAWgBSQSL4sBeCKuWH6yxi/Necwixm55DAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIB8QppAA7JR2OjAj58kZ+hmUep/QW7syke8DwygFjDKuAiEA6YG/9ViL6RWJiGGMSVmm4iCX3Ojnre4KVjYdwac/dVM=";

    fn other() -> CertificateDigest {
        CertificateDigest([7; 32])
    }

    fn own() -> CertificateDigest {
        CertificateDigest::of_pem(PEM.as_bytes()).unwrap()
    }

    #[test]
    fn one_certificate_has_one_digest_whoever_hands_it_on() {
        assert_eq!(CertificateDigest::from_hex(HEX.as_bytes()), Some(own()));
        assert_eq!(CertificateDigest::from_hex(HEX.to_uppercase().as_bytes()), Some(own()));
        assert_eq!(CertificateDigest::of_field(format!(":{DER}:").as_bytes()), Some(own()));
        assert_eq!(CertificateDigest::of_field(format!(" :{DER}: ").as_bytes()), Some(own()));
        let chain = format!("{PEM}{PEM}");
        assert_eq!(CertificateDigest::of_pem(chain.as_bytes()), None, "one certificate, not a chain");
    }

    #[test]
    fn what_is_no_certificate_has_none() {
        let key = testing::signing_key_pem();
        for pem in ["", "x", key.expose(), &PEM.replace("-----END", "---END"), HEX] {
            assert_eq!(CertificateDigest::of_pem(pem.as_bytes()), None, "{pem}");
        }
        for hex in ["", "zz", &HEX[1..], &format!("{HEX}00"), &HEX.replace('a', "g")] {
            assert_eq!(CertificateDigest::from_hex(hex.as_bytes()), None, "{hex}");
        }
        for field in [
            "",
            "::",
            DER,
            &format!(":{DER}"),
            &format!(":{DER}:;a=1"),
            &format!(":{DER}:, :{DER}:"),
            ":not base64:",
            &format!("\"{DER}\""),
        ] {
            assert_eq!(CertificateDigest::of_field(field.as_bytes()), None, "{field}");
        }
        assert_eq!(Shown::read(b" ", CertificateDigest::of_pem), Shown::Nothing);
        assert_eq!(Shown::read(b"x", CertificateDigest::of_pem), Shown::Unreadable);
    }

    fn outcome(claims: serde_json::Value, shown: Shown, demand: ClientCertificate) -> &'static str {
        match check(&testing::caller(claims), shown, demand) {
            Ok(()) => "taken",
            Err(Refusal::CertificateRequired) => "required",
            Err(Refusal::CertificateMismatch) => "mismatch",
            Err(Refusal::Token(TokenError::ClaimType(claim))) if claim == "cnf" => "cnf",
            Err(_) => "other",
        }
    }

    #[test]
    fn who_must_show_what() {
        use ClientCertificate::{Bound, Off, Required};
        let (bound, free) = (json!({"cnf": {"x5t#S256": DIGEST}}), json!({}));
        let (right, wrong) = (Shown::Certificate(own()), Shown::Certificate(other()));
        for (claims, shown, off, when_bound, required) in [
            (&bound, right, "taken", "taken", "taken"),
            (&bound, wrong, "taken", "mismatch", "mismatch"),
            (&bound, Shown::Nothing, "taken", "required", "required"),
            (&bound, Shown::Unreadable, "taken", "required", "required"),
            (&free, right, "taken", "taken", "taken"),
            (&free, Shown::Nothing, "taken", "taken", "required"),
            (&free, Shown::Unreadable, "taken", "required", "required"),
        ] {
            let outcomes = [Off, Bound, Required].map(|demand| outcome(claims.clone(), shown, demand));
            assert_eq!(outcomes, [off, when_bound, required], "{claims} {shown:?}");
        }
    }

    #[test]
    fn a_confirmation_that_cannot_be_read_is_not_taken_for_none() {
        let right = Shown::Certificate(own());
        for cnf in [
            json!("x"),
            json!([]),
            json!(7),
            json!({"x5t#S256": 7}),
            json!({"x5t#S256": ""}),
            json!({"x5t#S256": "AAAA"}),
            json!({"x5t#S256": format!("{DIGEST}=")}),
            json!({"x5t#S256": HEX}),
        ] {
            assert_eq!(outcome(json!({ "cnf": cnf }), right, ClientCertificate::Bound), "cnf", "{cnf}");
        }
        // a token that is bound to something else than a certificate
        let key = json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}});
        assert_eq!(outcome(key, Shown::Nothing, ClientCertificate::Bound), "taken");
    }
}
