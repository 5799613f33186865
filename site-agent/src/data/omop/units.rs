//! Units that a table names by text only (`unit_source_value`), as concepts.
//!
//! A text is taken to be a UCUM code, compared exactly. Common codes have OMOP's own concept; any other text has a
//! number of its own below zero, the same at every site, so that two texts stay two units.

use super::event::ConceptId;

/// Standard concepts of the vocabulary UCUM, by code and in order of the codes' bytes.
const UCUM: [(&str, i64); 74] = [
    ("%", 8554),
    ("/L", 9254),
    ("/[HPF]", 8786),
    ("/[LPF]", 8765),
    ("/mL", 9257),
    ("/min", 8541),
    ("/uL", 8647),
    ("10*12/L", 8734),
    ("10*3/mm3", 8961),
    ("10*3/uL", 8848),
    ("10*6/mm3", 8931),
    ("10*6/uL", 8815),
    ("10*9/L", 9444),
    ("Cel", 586_323),
    ("K", 9523),
    ("L", 8519),
    ("L/min", 8698),
    ("[U]/L", 8645),
    ("[degF]", 9289),
    ("[iU]/L", 8923),
    ("[iU]/mL", 8985),
    ("[in_i]", 9327),
    ("[oz_av]", 9373),
    ("[score]", 44_777_566),
    ("a", 9448),
    ("cm", 8582),
    ("cm[H2O]", 44_777_590),
    ("d", 8512),
    ("fL", 8583),
    ("g", 8504),
    ("g/(24.h)", 8807),
    ("g/L", 8636),
    ("g/dL", 8713),
    ("h", 8505),
    ("kPa", 44_777_602),
    ("kg", 9529),
    ("kg/m2", 9531),
    ("m", 9546),
    ("m2", 8617),
    ("mL", 8587),
    ("mL/(24.h)", 8930),
    ("mL/h", 44_777_613),
    ("mL/kg", 9571),
    ("mL/min", 8795),
    ("mL/min/(173.10*-2.m2)", 720_870),
    ("mg", 8576),
    ("mg/(24.h)", 8909),
    ("mg/L", 8751),
    ("mg/dL", 8840),
    ("mg/g", 8723),
    ("mg/g{creat}", 9017),
    ("min", 8550),
    ("mm/h", 8752),
    ("mm[Hg]", 8876),
    ("mmol/L", 8753),
    ("mmol/mol", 9579),
    ("mo", 9580),
    ("mosm/kg", 8862),
    ("ng/L", 8725),
    ("ng/dL", 8817),
    ("ng/mL", 8842),
    ("nmol/L", 8736),
    ("pg", 8564),
    ("pg/dL", 8820),
    ("pg/mL", 8845),
    ("pmol/L", 8729),
    ("s", 8555),
    ("ug/L", 8748),
    ("ug/dL", 8837),
    ("ug/g", 8720),
    ("ug/mL", 8859),
    ("umol/L", 8749),
    ("wk", 8511),
    ("{ratio}", 8523),
];

/// The unit that a text names; none for an empty one.
#[must_use]
pub fn by_text(text: &str) -> ConceptId {
    let text = text.trim();
    if text.is_empty() {
        return ConceptId::NONE;
    }
    match UCUM.binary_search_by_key(&text, |(code, _)| *code) {
        Ok(at) => ConceptId(UCUM[at].1),
        Err(_) => ConceptId(own_number(text.as_bytes())),
    }
}

/// The code of a unit that the small table above has.
#[must_use]
pub fn code(unit: ConceptId) -> Option<&'static str> {
    UCUM.iter().find(|(_, concept)| *concept == unit.0).map(|(code, _)| *code)
}

/// Whether a unit is a text that is no code of ours: it has no concept, and no name.
#[must_use]
pub const fn is_text(unit: ConceptId) -> bool {
    unit.0 < 0
}

/// FNV-1a of 64 bits, the sign bit set: no concept of OMOP is below zero, and of the few hundred texts of a hospital two
/// come together once in 10^14 hospitals.
fn own_number(text: &[u8]) -> i64 {
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash | 1 << 63).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        fn check(text: &str, expected: i64) {
            assert_eq!(by_text(text).0, expected, "{text:?}");
        }
        assert!(UCUM.is_sorted_by(|one, two| one.0 < two.0));
        UCUM.iter().for_each(|(code, concept)| check(code, *concept));
        check("", 0);
        check("  ", 0);
        check(" mm[Hg] ", 8876);
        // Published vectors of FNV-1a: "a" and "foobar" (Fowler, Noll, Vo), the sign bit set.
        assert_eq!(own_number(b"a"), 0xaf63_dc4c_8601_ec8c_u64.cast_signed());
        assert_eq!(own_number(b"foobar"), (0x8594_4171_f739_67e8_u64 | 1 << 63).cast_signed());
        let others = ["mmHg", "MM[HG]", "{score}", "{0|1}"].map(by_text);
        assert!(others.iter().all(|unit| is_text(*unit)) && !is_text(by_text("%")));
        assert!(others.iter().all(|one| others.iter().filter(|two| one == *two).count() == 1));
    }
}
