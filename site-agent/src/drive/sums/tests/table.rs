//! A table that cannot be used costs nothing: it is refused by one rule, before anything is burnt for it.

use super::*;
use crate::task::Refusal;

const HEADER: &str = "person_id,age,bmi,sex,prior_admissions,readmitted_30d";

/// Tables that no study reads, and what the site's own log says of each.
const BAD: [(Option<&str>, &str); 5] = [
    (None, "table.csv"),
    (Some(""), "the file is empty"),
    (
        Some("person_id,age,sex,prior_admissions,readmitted_30d\nsecret-1,secret-41,F,0,1\n"),
        "column bmi is missing",
    ),
    (Some("person_id;age;bmi;sex;prior_admissions;readmitted_30d\n"), "separated by ';'"),
    // No header: a person stands in its place, and is not repeated.
    (Some("secret-1,secret-41,25,F,0,1\np2,50,25,F,0,0\n"), "column person_id is missing"),
];

fn put(house: &House, table: Option<&str>) {
    match table {
        Some(table) => std::fs::write(house.table(), table).expect("written"),
        None => std::fs::remove_file(house.table()).expect("there"),
    }
}

fn refusal(done: Result<(), TaskError>) -> Refusal {
    let Err(TaskError::Refused(refusal)) = done else { panic!("{done:?}") };
    assert_eq!(refusal.rule, "data.table");
    assert!(!refusal.why.contains("secret"), "a cell: {}", refusal.why);
    refusal
}

#[tokio::test]
async fn no_study_is_opened_or_joined_on_it() {
    for (table, expected) in BAD {
        let world = World::new(3, &[]);
        let (house, study) = (&world.houses[0], world.conductor.study.digest);
        let good = std::fs::read_to_string(house.table()).expect("there");
        put(house, table);
        let (mut link, mut agent) = (world.desks[0].link().await, house.agent());
        let (_never, mut stop) = watch::channel(false);
        let said = refusal(agent.sum(&mut link, &study, &mut stop).await);
        assert!(said.why.contains(expected) && said.why.contains("table.csv"), "{}", said.why);
        assert!(agent.store.state().study(&study).is_none(), "nothing is earmarked");
        // Told to the coordinator by its rule alone, and once a day to the ledger.
        let task = Task::Sum { study };
        for _ in 0..2 {
            agent.refuse(&mut link, &task, &said).await.expect("written");
        }
        let state = agent.store.state();
        assert!(state.has_refused(state.time().day(), "data.table", Some(study)));
        let size = state.size();
        agent.refuse(&mut link, &task, &said).await.expect("counted");
        assert_eq!(agent.store.state().size(), size);
        let told = world.desks[0].told.lock().expect("held for a moment").declined.clone();
        assert_eq!(told, ["data.table"; 3]);

        // An open study is not joined either: the stream is never asked for.
        std::fs::write(house.table(), &good).expect("mended");
        let kept = Arc::clone(&world.conductor.study);
        agent.open_study(&mut link, &kept).await.expect("opened");
        put(house, table);
        refusal(agent.sum(&mut link, &study, &mut stop).await);
        assert_eq!(agent.store.state().blocks(&study).count(), 0, "nothing is burnt");
    }
}

/// It goes wrong after the site has joined: the stream ends with the rule, before a block is burnt. Mended, the same agent
/// goes on with the first use.
#[tokio::test]
async fn no_block_is_burnt_on_it() {
    let mut world = World::started(3, &[]).await;
    let study = world.conductor.study.digest;
    let table = std::fs::read_to_string(world.houses[0].table()).expect("there");
    put(&world.houses[0], Some("person_id,age\n"));
    world.conductor.open(Summed::Training).await;
    let seat = world.conductor.seats.get_mut(&index(0)).expect("seated");
    assert_eq!(seat.hear().await, Up::Refused("data.table".into()));
    assert_eq!(seat.hear().await, Up::Ended);
    let (agent, done) = world.left(0).await;
    assert!(matches!(done, Err(TaskError::Told("data.table"))), "{done:?}");
    assert_eq!(agent.store.state().blocks(&study).count(), 0);

    std::fs::write(world.houses[0].table(), table).expect("mended");
    world.join(0, agent).await;
    world.conductor.open(Summed::Training).await;
    let (_, record) = world.step(slot(0, 0), None).await;
    assert_eq!(record.survivors.len(), 3);
    // Its examples are in memory: the file is not looked at any more.
    put(&world.houses[0], None);
    let dealt = world.conductor.share(slot(1, 0)).await;
    let kept = Arc::clone(&world.conductor.study);
    let (_, record, _) = world.conductor.attempt(dealt, model(&kept, 1), None, None).await;
    assert_eq!(record.survivors.len(), 3);
    world.end().await;
    let uses: Vec<u64> = world.masked(0).iter().map(|masked| masked.index).collect();
    assert_eq!(uses, [0, 1], "none was lost");
}

/// Only the columns' names count: whatever is in the rows, and however many there are.
#[tokio::test]
async fn rows_are_not_looked_at() {
    let world = World::new(3, &[]);
    let (house, study) = (&world.houses[0], Arc::clone(&world.conductor.study));
    let mut agent = house.agent();
    for rows in ["", "\n", "\nragged,row\n", "\n\u{0},\"open quote\n", "\np1,41,25,F,0,1\np1,41,25,F,0,1\n"] {
        std::fs::write(house.table(), format!("{HEADER}{rows}")).expect("written");
        assert!(agent.check_columns(&study).await.is_ok(), "{rows:?}");
        std::fs::write(house.table(), format!("{}{rows}", HEADER.replace("bmi", "weight"))).expect("written");
        let said = refusal(agent.check_columns(&study).await);
        assert!(said.why.contains("column bmi is missing") && !said.why.contains("41"), "{}", said.why);
    }
    // Bytes that are no text below the header, too.
    let bytes = [HEADER.as_bytes(), b"\n\xff\xfe,1,2\n"].concat();
    std::fs::write(house.table(), bytes).expect("written");
    assert!(agent.check_columns(&study).await.is_ok());
}
