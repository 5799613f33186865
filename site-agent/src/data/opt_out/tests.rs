use super::*;
use std::path::PathBuf;
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("folder"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("list.csv")
    }

    fn put(&self, text: &[u8]) {
        std::fs::write(self.path(), text).expect("written");
    }

    fn list(&self, salt: &str) -> OptOutList {
        OptOutList { name: "register".into(), kept: Kept::File { path: self.path(), salt: salt.into() } }
    }
}

fn hash(salt: &str, id: &str) -> String {
    hex::encode(token(salt, id))
}

#[test]
fn both_forms_name_the_same_people() {
    fn check(text: &str, salt: &str) {
        let folder = Folder::new();
        folder.put(text.as_bytes());
        let mut opt_outs = OptOuts::default();
        opt_outs
            .refresh(&[folder.list(salt)], IdForm::Text, Instant::now())
            .unwrap_or_else(|error| panic!("{error}"));
        let lists = opt_outs.lists();
        for (id, expected) in
            [("a7", true), (" a7 ", true), ("10", true), ("A7", false), ("1", false), ("", false)]
        {
            assert_eq!(lists.contains(id), expected, "{id:?} on {text:?}");
        }
        let among = ["a7", "b", "10", "c"];
        assert_eq!(lists.counts(among.into_iter()), [("register".to_owned(), 2, 2)]);
    }
    check("person_id\na7\n10\n", "");
    check("person_id\r\n a7 \r\n\r\n10", "");
    check("\u{feff}person_id\na7\n10\na7\n", "");
    check("since,person_id,why\n2027,\"a7\",\"x,y\"\n,10,\n", "");
    check(&format!("person_sha256\n{}\n{}\n", hash("", "a7"), hash("", "10")), "");
    check(&format!("person_sha256\n{}\n{}\n", hash("s1", "a7"), hash("s1", "10").to_uppercase()), "s1");
}

/// The salt's bytes, then the id's: `printf %s s1a7 | sha256sum`.
#[test]
fn the_hash_is_everybodys() {
    assert_eq!(hash("s1", "a7"), "022673afda5d951124368679a52c6c4c38c1e32e5fc2cbb729948cae5a484da5");
}

#[test]
fn a_list_that_cannot_be_read_whole_is_an_error() {
    fn check(text: Option<&[u8]>, salt: &str, expected: &str) {
        let folder = Folder::new();
        if let Some(text) = text {
            folder.put(text);
        }
        let error = OptOuts::default()
            .refresh(&[folder.list(salt)], IdForm::Text, Instant::now())
            .expect_err(expected);
        let error = error.to_string();
        assert!(error.starts_with("opt-out list register: ") && error.contains("list.csv"), "{error}");
        assert!(error.contains(expected) && !error.contains("secret"), "{error}");
    }
    check(None, "", "No such file");
    check(Some(b""), "", "a header with one column");
    check(Some(b"id\nsecret\n"), "", "a header with one column");
    check(Some(b"person_id;why\nsecret;x\n"), "", "a header with one column");
    check(Some(b"person_id,person_sha256\nsecret,\n"), "", "a header with one column");
    check(Some(b"person_id,person_id\nsecret,secret\n"), "", "a header with one column");
    check(Some(b"person_id\nsecret\n"), "s1", "remove the salt");
    check(Some(b"person_sha256\nsecret\n"), "", "row 2: expected 64 hex digits");
    check(Some(b"why,person_id\nx,secret\nx\n"), "", "row 3: expected an id or a hash");
    check(Some(b"person_id,why\nsecret,\n,x\n"), "", "row 3: expected an id or a hash");
    check(Some(b"person_id\nsecret\xff\n"), "", "row 2: expected an id or a hash");
}

#[test]
fn lists_are_read_again_when_they_change() {
    let folder = Folder::new();
    folder.put(b"person_id\na\n");
    let (mut opt_outs, start) = (OptOuts::default(), Instant::now());
    let wanted = [folder.list("")];
    let at = |opt_outs: &mut OptOuts, second: u64| {
        opt_outs.refresh(&wanted, IdForm::Text, start + Duration::from_secs(second)).expect("read");
        (opt_outs.lists(), Arc::clone(&opt_outs.read[0].list))
    };
    let (first, list) = at(&mut opt_outs, 0);
    assert!(Arc::ptr_eq(&list, &at(&mut opt_outs, 599).1), "the same file is not read twice in ten minutes");
    let (again, other) = at(&mut opt_outs, 600);
    assert!(!Arc::ptr_eq(&list, &other) && again.digest() == first.digest(), "read again, and the same");
    folder.put(b"person_id\na\nb\n");
    let (more, _) = at(&mut opt_outs, 601);
    assert!(more.contains("b") && more.digest() != first.digest());
    // Another file under the same name, of the same length.
    let beside = folder.0.path().join("beside");
    std::fs::write(&beside, b"person_id\na\nc\n").expect("written");
    std::fs::rename(&beside, folder.path()).expect("renamed");
    let (other, _) = at(&mut opt_outs, 602);
    assert!(other.contains("c") && !other.contains("b"));
    // Gone: what was read before stays, and it is an error.
    std::fs::remove_file(folder.path()).expect("there");
    assert!(opt_outs.refresh(&[folder.list("")], IdForm::Text, start).is_err());
    assert_eq!(opt_outs.lists().digest(), other.digest());
}

#[test]
fn the_digest_tells_lists_and_salts_apart() {
    let folder = Folder::new();
    folder.put(format!("person_sha256\n{}\n", hash("", "a")).as_bytes());
    let digest = |wanted: &[OptOutList]| {
        let mut opt_outs = OptOuts::default();
        opt_outs.refresh(wanted, IdForm::Text, Instant::now()).expect("read");
        opt_outs.lists().digest()
    };
    let nobody = OptOutList { name: "register".into(), kept: Kept::Nobody };
    let other = OptOutList { name: "other".into(), ..folder.list("") };
    let digests = [
        digest(&[]),
        digest(&[nobody]),
        digest(&[folder.list("")]),
        digest(&[folder.list("s")]),
        digest(std::slice::from_ref(&other)),
        digest(&[folder.list(""), other]),
    ];
    for (i, one) in digests.iter().enumerate() {
        assert!(digests[..i].iter().all(|before| before != one), "{i}");
    }
    folder.put(format!("why,person_sha256\n\n,{}\n", hash("", "a")).as_bytes());
    assert_eq!(digest(&[folder.list("")]), digests[2], "the same person in another layout");
}

/// Of data that tell people apart by numbers an id that is none is a mistake, in whichever row; of a table it is an id.
#[test]
fn ids_that_nobody_can_have() {
    fn check(text: &str, expected: Option<u64>) {
        let folder = Folder::new();
        folder.put(text.as_bytes());
        let refresh = |ids| OptOuts::default().refresh(&[folder.list("")], ids, Instant::now());
        refresh(IdForm::Text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        match (refresh(IdForm::Number), expected) {
            (Ok(()), None) => {}
            (Err(error), Some(row)) => {
                let error = error.to_string();
                let part = format!("list.csv: row {row}: expected a whole number without leading zeros");
                assert!(
                    error.contains(&part) && !error.contains("secret") && !error.contains("0200"),
                    "{error}"
                );
            }
            (found, _) => panic!("{text:?}: {found:?}"),
        }
    }
    check("person_id\n", None);
    check("person_id\n20000001\n 7 \n\"9223372036854775807\"\n-5\n0\n", None);
    check("person_id\n1\n020000001\n", Some(3));
    check("why,person_id\nx,secret\nx,1\nx,secret\n", Some(2));
    check("person_id\n1.0\n", Some(2));
    check("person_id\n+1\n", Some(2));
    check("person_id\n1 000\n", Some(2));
    check("person_id\n9223372036854775808\n", Some(2));
    check("person_id\n00\n", Some(2));
    // Whose a hash is cannot be told.
    check(&format!("person_sha256\n{}\n", hash("", "020000001")), None);

    // A list that was read for a table is looked at again for records, and nothing has changed then.
    let folder = Folder::new();
    folder.put(b"person_id\na7\n");
    let (mut opt_outs, now) = (OptOuts::default(), Instant::now());
    opt_outs.refresh(&[folder.list("")], IdForm::Text, now).expect("a text");
    let before = opt_outs.lists().digest();
    assert!(opt_outs.refresh(&[folder.list("")], IdForm::Number, now).is_err());
    assert!(opt_outs.lists().digest() == before && opt_outs.lists().contains("a7"));
}

#[test]
fn how_data_tell_people_apart() {
    use crate::data::extract::tests::folders;
    let table = crate::testing::study(&[]);
    assert_eq!(IdForm::of(&table), IdForm::Text);
    assert_eq!(IdForm::of(&folders::asking_as(table)), IdForm::Number);
    let records = folders::write(&folders::hospital(3));
    assert_eq!(IdForm::at(Some(records.path())), IdForm::Number);
    assert_eq!(IdForm::at(Some(&records.path().join("person.csv"))), IdForm::Text);
    assert_eq!(IdForm::at(None), IdForm::Text);
}
