//! Texts without case.

/// The characters of a text without case. By way of upper case, so that letters with two lower cases fold alike (`ς` and `σ`, `ſ` and `s`).
pub fn case_folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(|letter| {
        let odd = ODD.binary_search_by_key(&letter, |(odd, _)| *odd).ok().and_then(|place| ODD.get(place));
        let lower = odd.is_none().then(|| letter.to_lowercase());
        odd.map_or("", |(_, folded)| folded).chars().chain(lower.into_iter().flatten())
    })
}

/// The letters whose upper case has another lower case than they have, with that. The standard library's table of upper case, which also
/// says so, would be 12 KB of the module.
#[rustfmt::skip]
static ODD: [(char, &str); 125] = [
    ('µ', "μ"), ('ß', "ss"), ('ı', "i"), ('ŉ', "ʼn"), ('ſ', "s"), ('ǰ', "j\u{30c}"), ('\u{345}', "ι"),
    ('ΐ', "ι\u{308}\u{301}"), ('ΰ', "υ\u{308}\u{301}"), ('ς', "σ"), ('ϐ', "β"), ('ϑ', "θ"), ('ϕ', "φ"), ('ϖ', "π"),
    ('ϰ', "κ"), ('ϱ', "ρ"), ('ϵ', "ε"), ('և', "եւ"), ('ᲀ', "в"), ('ᲁ', "д"), ('ᲂ', "о"), ('ᲃ', "с"), ('ᲄ', "т"),
    ('ᲅ', "т"), ('ᲆ', "ъ"), ('ᲇ', "ѣ"), ('ᲈ', "ꙋ"), ('ẖ', "h\u{331}"), ('ẗ', "t\u{308}"), ('ẘ', "w\u{30a}"),
    ('ẙ', "y\u{30a}"), ('ẚ', "aʾ"), ('ẛ', "ṡ"), ('ὐ', "υ\u{313}"), ('ὒ', "υ\u{313}\u{300}"), ('ὔ', "υ\u{313}\u{301}"),
    ('ὖ', "υ\u{313}\u{342}"), ('ᾀ', "ἀι"), ('ᾁ', "ἁι"), ('ᾂ', "ἂι"), ('ᾃ', "ἃι"), ('ᾄ', "ἄι"), ('ᾅ', "ἅι"),
    ('ᾆ', "ἆι"), ('ᾇ', "ἇι"), ('ᾈ', "ἀι"), ('ᾉ', "ἁι"), ('ᾊ', "ἂι"), ('ᾋ', "ἃι"), ('ᾌ', "ἄι"), ('ᾍ', "ἅι"),
    ('ᾎ', "ἆι"), ('ᾏ', "ἇι"), ('ᾐ', "ἠι"), ('ᾑ', "ἡι"), ('ᾒ', "ἢι"), ('ᾓ', "ἣι"), ('ᾔ', "ἤι"), ('ᾕ', "ἥι"),
    ('ᾖ', "ἦι"), ('ᾗ', "ἧι"), ('ᾘ', "ἠι"), ('ᾙ', "ἡι"), ('ᾚ', "ἢι"), ('ᾛ', "ἣι"), ('ᾜ', "ἤι"), ('ᾝ', "ἥι"),
    ('ᾞ', "ἦι"), ('ᾟ', "ἧι"), ('ᾠ', "ὠι"), ('ᾡ', "ὡι"), ('ᾢ', "ὢι"), ('ᾣ', "ὣι"), ('ᾤ', "ὤι"), ('ᾥ', "ὥι"),
    ('ᾦ', "ὦι"), ('ᾧ', "ὧι"), ('ᾨ', "ὠι"), ('ᾩ', "ὡι"), ('ᾪ', "ὢι"), ('ᾫ', "ὣι"), ('ᾬ', "ὤι"), ('ᾭ', "ὥι"),
    ('ᾮ', "ὦι"), ('ᾯ', "ὧι"), ('ᾲ', "ὰι"), ('ᾳ', "αι"), ('ᾴ', "άι"), ('ᾶ', "α\u{342}"), ('ᾷ', "α\u{342}ι"),
    ('ᾼ', "αι"), ('ι', "ι"), ('ῂ', "ὴι"), ('ῃ', "ηι"), ('ῄ', "ήι"), ('ῆ', "η\u{342}"), ('ῇ', "η\u{342}ι"),
    ('ῌ', "ηι"), ('ῒ', "ι\u{308}\u{300}"), ('ΐ', "ι\u{308}\u{301}"), ('ῖ', "ι\u{342}"), ('ῗ', "ι\u{308}\u{342}"),
    ('ῢ', "υ\u{308}\u{300}"), ('ΰ', "υ\u{308}\u{301}"), ('ῤ', "ρ\u{313}"), ('ῦ', "υ\u{342}"),
    ('ῧ', "υ\u{308}\u{342}"), ('ῲ', "ὼι"), ('ῳ', "ωι"), ('ῴ', "ώι"), ('ῶ', "ω\u{342}"), ('ῷ', "ω\u{342}ι"),
    ('ῼ', "ωι"), ('ﬀ', "ff"), ('ﬁ', "fi"), ('ﬂ', "fl"), ('ﬃ', "ffi"), ('ﬄ', "ffl"), ('ﬅ', "st"), ('ﬆ', "st"),
    ('ﬓ', "մն"), ('ﬔ', "մե"), ('ﬕ', "մի"), ('ﬖ', "վն"), ('ﬗ', "մխ"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(text: &str) -> String {
        case_folded(text).collect()
    }

    #[test]
    fn a_text_folds_to_the_same_from_every_case() {
        for (one, other) in [("Mallory@X", "mallory@x"), ("ÉVA", "éva"), ("ΟΔΟΣ", "οδος"), ("ſam", "SAM"), ("ß", "SS")]
        {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        assert_ne!(fold("a_b"), fold("ab"));
    }

    #[test]
    fn every_letter_folds_to_the_lower_case_of_its_upper_case() {
        for letter in '\0'..=char::MAX {
            let expected: String = letter.to_uppercase().flat_map(char::to_lowercase).collect();
            assert_eq!(fold(&letter.to_string()), expected, "{letter:?}");
        }
    }
}
