//! Sentences as clinicians write them, with what they say; all invented. Findings: 0 self-harm, 1 suicidal thoughts,
//! 2 hallucinations, 3 low mood, 4 overdose.

use super::{Context, Lexicon, Mention};
use consilium_common::study::notes::{Language, NoteConcept, Said, Term};

const ENGLISH: [(u32, &str); 12] = [
    (0, "self-harm"),
    (0, "self-harmed"),
    (0, "cutting herself"),
    (0, "cut himself"),
    (1, "suicidal thoughts"),
    (1, "suicidal ideation"),
    (1, "thoughts of suicide"),
    (2, "auditory hallucinations"),
    (2, "hearing voices"),
    (3, "low mood"),
    (4, "overdose"),
    (4, "overdoses"),
];

const GERMAN: [(u32, &str); 12] = [
    (0, "Selbstverletzung"),
    (0, "Selbstverletzungen"),
    (0, "selbstverletzendes Verhalten"),
    (0, "selbst verletzt"),
    (1, "Suizidgedanken"),
    (1, "suizidale Gedanken"),
    (2, "Stimmenhören"),
    (2, "akustische Halluzinationen"),
    (3, "gedrückte Stimmung"),
    (3, "Stimmung gedrückt"),
    (4, "Überdosis"),
    (4, "Intoxikation"),
];

/// Findings by number, each with its words in one language.
fn lexicon(words: &[(Language, &[(u32, &str)])]) -> Lexicon {
    let mut concepts: Vec<NoteConcept> =
        (0..5).map(|at| NoteConcept { name: at.to_string(), terms: Vec::new() }).collect();
    for (language, terms) in words {
        for (finding, phrase) in *terms {
            concepts[*finding as usize].terms.push((*language, Term::new(phrase).expect("a term")));
        }
    }
    Lexicon::new(&concepts)
}

fn of(language: Language) -> Lexicon {
    match language {
        Language::English => lexicon(&[(language, &ENGLISH)]),
        Language::German => lexicon(&[(language, &GERMAN)]),
    }
}

/// A finding and its context: `+` nothing said of it, else the first letters of what is.
fn shown(Mention { finding, context, .. }: Mention) -> String {
    let Context { negated, past, family, hypothetical, possible } = context;
    let letters = [(negated, 'n'), (past, 'p'), (family, 'f'), (hypothetical, 'h'), (possible, '?')];
    let said: String = letters.into_iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect();
    format!("{}{}", finding.0, if said.is_empty() { "+".to_owned() } else { said })
}

#[track_caller]
fn check_all(language: Language, cases: &[(&str, &str)]) {
    wrong(&of(language), cases);
    // In another language's words nothing changes what is said in this one's.
    wrong(&lexicon(&[(Language::English, &ENGLISH), (Language::German, &GERMAN)]), cases);
}

#[track_caller]
fn wrong(lexicon: &Lexicon, cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(text, expected)| {
            let found: Vec<String> = lexicon.mentions(text).into_iter().map(shown).collect();
            let found = found.join(" ");
            (found != *expected).then(|| format!("{text}\n  expected {expected}, came {found}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn english() {
    check_all(
        Language::English,
        &[
            ("", ""),
            ("Slept well, eating.", ""),
            ("Presents with low mood.", "3+"),
            ("Reports suicidal thoughts.", "1+"),
            ("Denies suicidal thoughts.", "1n"),
            ("Denied any self-harm, suicidal ideation or hearing voices.", "0n 1n 2n"),
            ("No suicidal thoughts or self harm today.", "1n 0n"),
            ("There is no evidence of auditory hallucinations.", "2n"),
            ("Suicidal ideation was denied.", "1n"),
            ("Suicidal thoughts: none.", "1n"),
            ("Denies suicidal thoughts but reports hearing voices.", "1n 2+"),
            ("Denies suicidal thoughts, reports low mood.", "1n 3+"),
            ("Low mood, denies suicidal thoughts.", "3+ 1n"),
            ("Did not deny suicidal thoughts.", "1+"),
            ("Not only low mood, also hearing voices.", "3+ 2+"),
            ("No improvement in low mood.", "3+"),
            ("Low mood for no reason.", "3+"),
            ("No change in auditory hallucinations.", "2+"),
            ("Auditory hallucinations have not resolved.", "2+"),
            ("Auditory hallucinations have resolved.", "2n"),
            ("History of self-harm.", "0p"),
            ("Past history of overdose, no current suicidal ideation.", "4p 1np"),
            ("Previous overdoses; now low mood.", "4p 3+"),
            ("She self-harmed as a teenager.", "0p"),
            ("Took an overdose five years ago.", "4p"),
            ("Took an overdose last night.", "4+"),
            ("Low mood over the past two weeks.", "3+"),
            ("No history of self-harm.", "0n"),
            ("History of self-harm, presents with low mood.", "0p 3+"),
            ("Family history of overdose.", "4f"),
            ("Her mother had auditory hallucinations.", "2f"),
            ("Mother took an overdose, patient reports low mood.", "4f 3+"),
            ("Mother reports low mood.", "3+"),
            ("Lives with her mother; suicidal thoughts.", "1+"),
            ("Low mood since the death of his father.", "3+"),
            ("His brother currently suffers from low mood.", "3f"),
            ("Her father was admitted with an overdose; she denies low mood.", "4f 3n"),
            ("Brought in by her partner after an overdose.", "4+"),
            ("Suicidal ideation in her brother.", "1f"),
            ("Overdose of her brother.", "4f"),
            ("To return if suicidal thoughts worsen.", "1h"),
            ("Should she have suicidal thoughts she will call.", "1h"),
            ("At risk of self-harm.", "0h"),
            ("Risk of overdose discussed.", "4h"),
            ("Asked about hearing voices.", "2h"),
            ("Asked about hearing voices; reports hearing voices.", "2h 2+"),
            ("Safety plan for suicidal thoughts.", "1h"),
            ("Possible auditory hallucinations.", "2?"),
            ("Overdose cannot be excluded.", "4?"),
            ("Suspected overdose.", "4?"),
            ("Seen by Dr. Bird. Denies low mood.", "3n"),
            ("Denies plans\nReports low mood", "3+"),
            ("Denies any thoughts or plans of harming anybody else and of any kind of\nself-harm.", "0n"),
            ("SELF-HARM: NIL. LOW MOOD: YES.", "0n 3+"),
            ("Cut himself yesterday.", "0+"),
            ("Has been cutting herself without telling her mother.", "0+"),
            ("Low mood despite no self-harm.", "3+ 0n"),
            ("He was found by his wife after an overdose.", "4+"),
            ("She can't stop cutting herself.", "0+"),
        ],
    );
}

#[test]
fn german() {
    check_all(
        Language::German,
        &[
            ("", ""),
            ("Gedrückte Stimmung seit Wochen.", "3+"),
            ("Berichtet Suizidgedanken.", "1+"),
            ("Keine Suizidgedanken.", "1n"),
            ("Suizidgedanken werden verneint.", "1n"),
            ("Verneint Suizidgedanken, Selbstverletzung und Stimmenhören.", "1n 0n 2n"),
            ("Verneint Suizidgedanken, berichtet aber Stimmenhören.", "1n 2+"),
            ("Kein Anhalt für akustische Halluzinationen.", "2n"),
            ("Distanziert sich glaubhaft von Suizidgedanken.", "1n"),
            ("Kann sich nicht distanzieren von Suizidgedanken.", "1+"),
            ("Weder Suizidgedanken noch Stimmenhören.", "1n 2n"),
            ("Akustische Halluzinationen liegen nicht vor.", "2n"),
            ("Stimmung gedrückt, Suizidgedanken verneint.", "3+ 1n"),
            ("Keine Besserung der gedrückten Stimmung, Stimmung gedrückt.", "3+"),
            ("Nicht nur gedrückte Stimmung, auch Stimmenhören.", "3+ 2+"),
            ("Z.n. Intoxikation.", "4p"),
            ("Früher Selbstverletzungen.", "0p"),
            ("Selbstverletzungen in der Jugend.", "0p"),
            ("Überdosis vor fünf Jahren, aktuell gedrückte Stimmung.", "4p 3+"),
            ("In der Vorgeschichte selbstverletzendes Verhalten.", "0p"),
            ("Die Mutter hatte akustische Halluzinationen.", "2f"),
            ("Familienanamnese: Überdosis.", "4f"),
            ("Überdosis des Bruders, der Patient schildert gedrückte Stimmung.", "4f 3+"),
            ("Mutter berichtet gedrückte Stimmung.", "3+"),
            ("Die Mutter leidet aktuell unter Stimmenhören.", "2f"),
            ("Beim Bruder ist Selbstverletzung bekannt.", "0f"),
            ("Lebt bei seinen Eltern; Suizidgedanken.", "1+"),
            ("Gedrückte Stimmung nach dem Tod der Mutter.", "3+"),
            ("Falls Suizidgedanken auftreten, Wiedervorstellung.", "1h"),
            ("Bei Auftreten von Stimmenhören Rückmeldung.", "2h"),
            ("Krisenplan bei Suizidgedanken besprochen.", "1h"),
            ("Risiko einer Überdosis besprochen.", "4h"),
            ("V.a. Intoxikation.", "4?"),
            ("Akustische Halluzinationen sind nicht auszuschließen.", "2?"),
            ("Immer noch Suizidgedanken.", "1+"),
            ("Hat sich heute selbst verletzt.", "0+"),
            ("Aufnahme nach Überdosis.", "4+"),
            ("UBERDOSIS", ""),
            ("ÜBERDOSIS", "4+"),
            ("Dr. Vogel: keine Suizidgedanken.\nStimmung gedrückt.", "1n 3+"),
        ],
    );
}

/// "Depression" is a word of both languages, and only one of them knows what is said of it.
#[test]
fn a_word_of_two_languages() {
    let both: &[(u32, &str)] = &[(0, "Depression")];
    let lexicon = lexicon(&[(Language::English, both), (Language::German, both)]);
    wrong(
        &lexicon,
        &[
            ("Keine Depression.", "0n"),
            ("No depression.", "0n"),
            ("Z.n. Depression. Depression!", "0p 0+"),
            ("Die Mutter hatte eine Depression; her mother had depression.", "0f 0f"),
            ("Depression", "0+"),
        ],
    );
}

#[test]
fn what_counts() {
    let lexicon = of(Language::English);
    let check = |text: &str, expected: &[(usize, Said)]| {
        let found: Vec<_> =
            lexicon.read(text).0.into_iter().map(|(finding, said)| (finding.0, said)).collect();
        assert_eq!(found, expected, "{text}");
    };
    check("Reports low mood. Low mood again, denies self-harm.", &[(0, Said::Denied), (3, Said::Affirmed)]);
    check("Denies low mood. Reports low mood!", &[(3, Said::Affirmed), (3, Said::Denied)]);
    check("Past history of overdose, no current suicidal ideation.", &[(1, Said::Denied)]);
    check("Family history of overdose; possible low mood; at risk of self-harm.", &[]);
    check("Her mother denies low mood.", &[]);
    check("", &[]);
}

/// A reader gives numbers; whatever a note holds, it comes to an end.
#[test]
fn any_text_is_read() {
    let lexicon = of(Language::English);
    for text in [
        "\0",
        "\u{fffd}",
        "........",
        "\n\n\n",
        "\u{202e}low mood",
        "a\u{300}\u{301}",
        "no no no no",
        "🙂 low mood 🙂",
    ] {
        drop(lexicon.mentions(text));
    }
    let long = "denies low mood and ".repeat(20_000);
    let mentions = lexicon.mentions(&long);
    assert!(mentions.iter().all(|mention| mention.context.negated));
    assert_eq!(mentions.len(), 20_000);
}
