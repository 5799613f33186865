//! Sentences as clinicians write them, with what they say; all invented. Findings: 0 self-harm, 1 suicidal thoughts,
//! 2 hallucinations, 3 low mood, 4 overdose.

use super::{Context, Language, Mention, NoteReader, Term};

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

fn reader(language: Language) -> NoteReader {
    let terms = match language {
        Language::English => ENGLISH,
        Language::German => GERMAN,
    };
    let terms: Vec<_> = terms.into_iter().map(|(finding, phrase)| Term { finding, phrase }).collect();
    NoteReader::new(language, &terms).expect("sound terms")
}

/// A finding and its context: `+` nothing said of it, else the first letters of what is.
fn shown(Mention { finding, context }: Mention) -> String {
    let Context { negated, past, family, hypothetical, possible } = context;
    let letters = [(negated, 'n'), (past, 'p'), (family, 'f'), (hypothetical, 'h'), (possible, '?')];
    let said: String = letters.into_iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect();
    format!("{finding}{}", if said.is_empty() { "+".to_owned() } else { said })
}

fn check_all(language: Language, cases: &[(&str, &str)]) {
    let reader = reader(language);
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(text, expected)| {
            let mut found = Vec::new();
            reader.read(text, |mention| found.push(shown(mention)));
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

/// A reader gives numbers; whatever a note holds, it comes to an end.
#[test]
fn any_text_is_read() {
    let reader = reader(Language::English);
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
        reader.read(text, |_| {});
    }
    let long = "denies low mood and ".repeat(20_000);
    let mut mentions = 0;
    reader.read(&long, |mention| {
        assert!(mention.context.negated);
        mentions += 1;
    });
    assert_eq!(mentions, 20_000);
}
