mod captions;

use super::*;
use crate::metrics::Subgroup;
use consilium_common::study::{Data, Holdout, SplitBy};

fn sample_html() -> String {
    html(&sample::report())
}

/// Opening and closing tags match, and attributes are quoted: enough to see a broken template.
fn check_well_formed(html: &str) {
    const VOID: [&str; 5] = ["meta", "line", "circle", "path", "rect"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html.strip_prefix("<!DOCTYPE html>").expect("a doctype");
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').expect("every tag ends");
        let tag = &rest[at + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{name}> closes another tag");
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
        rest = &rest[end + 1..];
        if name == "style" && !tag.starts_with('/') {
            rest = &rest[rest.find("</style").expect("style ends")..];
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn the_page_is_whole_and_loads_nothing() {
    let html = sample_html();
    let file = std::env::temp_dir().join("consilium-report-sample.html");
    std::fs::write(&file, &html).expect("a temporary file");
    println!("{}", file.display());
    check_well_formed(&html);
    for never in ["<script", "http:", "https:", "url(", "@import", "<img", "<link", "javascript:"] {
        let inside_tags = html.split('<').filter_map(|t| t.split('>').next()).any(|tag| tag.contains(never));
        let style = html.split("<style>").nth(1).and_then(|s| s.split("</style>").next()).expect("a style");
        assert!(!inside_tags && !style.contains(never), "{never}");
    }
    let handlers = html.split_whitespace().filter(|word| word.starts_with("on") && word.contains('='));
    assert_eq!(handlers.count(), 0);
    for (index, _) in html.match_indices("href=\"#") {
        let target = html[index + 7..].split('"').next().expect("quoted");
        assert_eq!(html.matches(&format!("id=\"{target}\"")).count(), 1, "#{target}");
    }
}

#[test]
fn distributed_mode_says_who_could_read_what() {
    let (local, distributed) = (sample_html(), html(&sample::distributed()));
    check_well_formed(&distributed);
    for (expected, is_there) in [
        (
            "sums only: 4 of training (sites: 4 in round 1, 3 in round 2, 4 in rounds 3–4), and 3 of the evaluation;",
            true,
        ),
        ("a sum over fewer than 3 sites (t) does not exist", true),
        ("as long as at most 1 of the sites (n_C) help the coordinator", true),
        ("2 attempts ended in no sum; a site lost at most 5 paid uses", true),
        ("Evaluation figures of single sites: not released", true),
        ("Nobody can read what one hospital sent", true),
        ("More than 1 of the sites on the coordinator’s side", true),
        ("is in the same sums several times, under the noise of one", true),
        ("each site’s own update and histogram", false),
        ("pays at each", false),
    ] {
        assert_eq!(distributed.contains(expected), is_there, "{expected}");
        assert_eq!(local.contains(expected), !is_there, "{expected}");
    }
}

#[test]
fn sections_come_in_order_and_the_lay_summary_first() {
    let html = sample_html();
    let order = [
        "<h2>In plain words</h2>",
        "What was done",
        "What the model may be used for",
        "What it must not be used for",
        "What privacy means here",
        "What is not protected",
        "<h2>Results</h2>",
        "<h2>Groups of people</h2>",
        "<h2>How often it is recorded</h2>",
        "<h2>Learning curve</h2>",
        "<h2>Privacy budget, site by site</h2>",
        "<h2>Who decided, and what for</h2>",
        "<h2>Method</h2>",
        "<h2>What is not protected</h2>",
        "<h2>Check it yourself</h2>",
    ];
    let places: Vec<_> =
        order.iter().map(|text| html.find(text).unwrap_or_else(|| panic!("{text}"))).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn what_must_be_said_is_said() {
    let data = sample::report();
    let html = html(&data);
    let said = [
        data.study.intended_use.statement.as_str(),
        data.study.intended_use.prohibited[1].as_str(),
        "<em>not released: reference computed on this machine</em>",
        "Not released: no learning curve was paid for.",
        "too few people to say",
        "<th scope=\"row\">unknown</th>",
        "its privacy budget does not cover it <code>budget</code>",
        "The panel asked for people whose ethnicity is not recorded",
        "policy.steps_max",
        "class=\"band\"",
        "95% of such intervals hold the true share found",
        "All records pooled, AUROC 0.757; not released",
        "2 hospitals, each alone; not released",
        "guess right",
        // ε 2.87: e^2.87/(e^2.87 + 1).
        "<th scope=\"row\">one of these hospitals</th><td>2.87</td><td>95%</td><td>15%</td><td>18%</td>",
        "<th scope=\"row\">two of them</th><td>4.31</td>",
        "1 in 1,000,000",
        "auditor verify bundle",
        "&quot;count&quot;:40",
        "cosigned by the coordinator alone",
        "Synthetic hospitals, made with seed 1.",
        "sexual orientation: recorded for 37% (36% to 38%)",
        "<th scope=\"row\">recorded</th><td>3,525</td><td>3,490 to 3,560</td>",
        "<th scope=\"row\">refused</th><td>under 11</td><td></td>",
    ];
    for text in said {
        assert!(html.contains(text), "{text}");
    }
}

/// A study that counts none says nothing of it, and one whose release nobody made says so.
#[test]
fn what_is_only_counted_has_a_section_where_it_was_asked() {
    let mut data = sample::report();
    data.metrics.completeness = vec![];
    data.metrics.models.retain(|model| !model.released_under_dp);
    let without = html(&data);
    check_well_formed(&without);
    let section = without.split("<section id=\"completeness\">").nth(1).expect("asked for");
    assert!(section.split("</section>").next().expect("ends").contains("No evaluation was released"));
    data.study.attributes.retain(|attribute| !attribute.values.is_completeness_only());
    assert!(!html(&data).contains("How often it is recorded"));
}

#[test]
fn a_suppressed_group_has_no_number() {
    let data = sample::report();
    let html = html(&data);
    let hidden = data.metrics.subgroups.iter().filter(|group| group.suppressed).count();
    let shown = data.metrics.subgroups.len() - hidden;
    assert!(hidden >= 3 && shown >= 8, "{hidden} hidden, {shown} shown");
    let rows: Vec<&str> = html.split("<tr>").filter(|row| row.contains("class=\"few\"")).collect();
    assert_eq!(rows.len(), hidden);
    for row in rows {
        let cells = row.split("</th>").nth(1).expect("a name and cells").split("</tr>").next().expect("ends");
        assert_eq!(cells, "<td colspan=\"5\" class=\"few\">too few people to say</td>");
    }
}

/// Every text of the document and of the study, hostile.
#[test]
fn hostile_text_stays_text() {
    let evil = || "<b id=x>\"'&</p>{}".to_owned();
    let mut data = sample::report();
    data.data_source = evil();
    data.refusals[0].rule = evil();
    data.views[0].roc[0].model = evil();
    data.metrics.models[1].name = evil();
    data.metrics.privacy.mode = evil();
    data.metrics.privacy.accountant = evil();
    for group in &mut data.metrics.subgroups {
        group.group.values_mut().for_each(|value| *value = evil());
    }
    for counted in &mut data.metrics.completeness {
        counted.attribute = evil();
        counted.states[0].state = evil();
    }
    for decision in data.decisions.iter_mut().filter_map(|d| d.answer.as_mut()) {
        decision.approver = evil();
    }
    let study = &mut data.study;
    study.title = evil();
    study.version = evil();
    study.kind = evil();
    study.intended_use.statement = evil();
    study.intended_use.users = vec![evil()];
    study.intended_use.prohibited = vec![evil()];
    study.intended_use.rationale = evil();
    study.governance.sponsor = evil();
    study.governance.permitted_purpose = evil();
    study.governance.lay_summary = evil();
    for approval in &mut study.governance.approvals {
        (approval.kind, approval.reference, approval.changed) = (evil(), evil(), Some(evil()));
    }
    study.tasks[0].name = evil();
    if let Data::Table(table) = &mut study.data {
        table.outcomes[0].column = evil();
    }
    study.features[0].name = evil();
    study.report = vec![(evil(), evil())];
    study.split.by = SplitBy::Column { column: evil(), train: evil(), evaluate: evil() };
    let html = html(&data);
    assert!(!html.contains("<b id=x") && !html.contains("'&<"), "unescaped");
    assert!(html.matches("&lt;b id=x&gt;").count() > 30);
    check_well_formed(&html);
}

#[test]
fn other_shapes_of_a_study() {
    let mut data = sample::report();
    data.learning_curve = Some(vec![
        LearningPoint { round: 5, auroc: 0.70, interval: [0.66, 0.74] },
        LearningPoint { round: 10, auroc: 0.74, interval: [0.71, 0.77] },
    ]);
    data.cosigners = Cosigners::CoordinatorAndSites;
    data.study.split.by = SplitBy::Column { column: "role".into(), train: "t".into(), evaluate: "e".into() };
    data.metrics.subgroups.clear();
    data.metrics.models.truncate(1);
    data.metrics.models[0].too_few_people = true;
    data.refusals.clear();
    data.views[0].roc.clear();
    data.views[0].calibration.clear();
    data.metrics.privacy.epsilon = 8.0;
    data.metrics.memory.agent_peak_mib = None;
    data.decisions[3].answer = None;
    let html = html(&data);
    check_well_formed(&html);
    for text in [
        "AUROC by round. round 5: 0.700",
        "and by another site",
        "added by evaluation",
        "this study paid for no subgroup",
        "Too few people to say with confidence",
        "No site’s ledger holds a refusal",
        "No ROC curve",
        ": no practical limit",
        "not measured",
        "no answer",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert!(!html.contains("no learning curve was paid for"));
    assert!(!html.contains("marked “not released”"), "without references none is warned of");

    // A model that nobody could judge.
    let mut data = sample::report();
    for model in &mut data.metrics.models {
        (model.auroc, model.auroc_interval, model.auroc_standard_error) = (None, None, None);
    }
    assert!(super::html(&data).contains("There were too few people to say."));
}

/// Several predictions: each is named, with its own figures, and none takes another's.
#[test]
fn each_prediction_has_its_own_part() {
    let mut data = sample::report();
    let of = |days| Some(Of { task: "self_harm".into(), horizon_days: Some(days), validation: None });
    let mut later = data.views[0].clone();
    (data.views[0].of, later.of) = (of(30), of(365));
    later.calibration.clear();
    data.views.push(later);
    let models = data.metrics.models.clone();
    data.metrics.models = [(30, 0.0), (365, -0.1)]
        .into_iter()
        .flat_map(|(days, less)| {
            let shifted = |model: &Model| Model {
                of: of(days),
                auroc: model.auroc.map(|auroc| auroc + less),
                ..model.clone()
            };
            models.iter().map(shifted).collect::<Vec<_>>()
        })
        .collect();
    let groups = data.metrics.subgroups.clone();
    data.metrics.subgroups = [30, 365]
        .into_iter()
        .flat_map(|days| groups.iter().map(move |group| Subgroup { of: of(days), ..group.clone() }))
        .collect();
    let html = html(&data);
    check_well_formed(&html);
    let auroc = |days| data.released(of(days).as_ref()).and_then(|model| model.auroc).expect("released");
    assert!(auroc(30) > auroc(365) + 0.09);
    let (first, second) = html
        .split_once("Prediction: self harm within 30 days")
        .and_then(|(_, rest)| rest.split_once("Prediction: self harm within 365 days"))
        .expect("each has a heading, in order");
    assert!(first.contains(&format!("{:.3}", auroc(30))) && !first.contains(&format!("{:.3}", auroc(365))));
    assert!(second.contains(&format!("{:.3}", auroc(365))));
    assert!(html.contains("“self harm within 30 days” and “self harm within 365 days”"), "in plain words");
    assert!(html.contains("<strong>self harm within 365 days:</strong>"));
    assert!(html.contains("By sex: self harm within 365 days"));
}

/// Earlier and later people stand side by side, each figure with whom it is on; groups of people are counted together.
#[test]
fn what_is_held_out_is_judged_apart() {
    let mut data = sample::report();
    let html_before = html(&data);
    let from = jiff::civil::date(2023, 10, 1);
    data.study.split.holdout = Some(Holdout { from, reported: Validation::ALL.to_vec() });
    let of = Of::everybody(&data.study, &data.study.predicted()[0]);
    let mut later = data.views[0].clone();
    (data.views[0].of, later.of) = (of[0].clone(), of[1].clone());
    data.views.push(later);
    let models = data.metrics.models.clone();
    let of_one = |(of, less): (&Option<Of>, f64)| {
        let shifted = |model: &Model| {
            let auroc = model.auroc.map(|auroc| auroc + less);
            Model { of: of.clone(), auroc, ..model.clone() }
        };
        models.iter().map(shifted).collect::<Vec<_>>()
    };
    data.metrics.models = of.iter().zip([0.0, -0.1]).flat_map(of_one).collect();
    let html = html(&data);
    check_well_formed(&html);
    let task = data.study.tasks[0].name.replace('_', " ");
    for text in [
        format!("Prediction: {task}, internal validation"),
        format!("Prediction: {task}, temporal validation"),
        "Judged on people from before 2023-10-01, the time that the model learnt from.".to_owned(),
        "Judged on people from 2023-10-01 on, later than any that the model learnt from.".to_owned(),
        format!("<strong>{task}, tested on people from 2023-10-01 on, later than"),
        "asked about before 2023-10-01 (internal validation)".to_owned(),
        "A group’s people from before 2023-10-01 and from that day on are counted together.".to_owned(),
        "dashed line marks all people from before 2023-10-01 together.".to_owned(),
        "examples with an index on 2023-10-01 or later are trained on;".to_owned(),
        "at most 22,400 people trained on, by published figures".to_owned(),
    ] {
        assert!(html.contains(&text), "{text}");
        assert!(!html_before.contains(&text), "{text}");
    }
    assert!(html.contains(&format!("how likely it is that “{task}” will be found")), "named once");
    let auroc = |of: &Option<Of>| data.released(of.as_ref()).and_then(|model| model.auroc).expect("released");
    let (internal, temporal) = (auroc(&of[0]), auroc(&of[1]));
    assert!(internal > temporal + 0.09);
    assert_eq!(data.released_first(None).and_then(|model| model.auroc), Some(internal));
    let json = serde_json::to_value(&data.metrics).expect("plain data");
    let first = |name: &str| {
        let models = json["models"].as_array().expect("a list");
        models.iter().find(|model| model["validation"] == name && model["released_under_dp"] == true).cloned()
    };
    assert_eq!(first("internal").expect("there")["auroc"], internal);
    assert_eq!(first("temporal").expect("there")["auroc"], temporal);
    assert_eq!(json["models"][0]["validation"], "internal", "the first figure of a prediction");
    assert_eq!(serde_json::from_value::<Metrics>(json).expect("what was written"), data.metrics);
}

/// What did not happen is not told: no evaluation, no curve, no end as planned.
#[test]
fn a_stopped_study_tells_only_what_happened() {
    let mut data = sample::distributed();
    data.metrics.models.clear();
    data.metrics.subgroups.clear();
    data.views[0].roc.clear();
    data.views[0].calibration.clear();
    data.metrics.privacy.sums.as_mut().expect("distributed").evaluations = 0;
    data.stopped = Some(Stopped { reason: "attempts <used> up".into(), rounds: 139, rounds_planned: 600 });
    let html = html(&data);
    check_well_formed(&html);
    for text in [
        "Stopped after 139 of 600 rounds: attempts &lt;used&gt; up. The model was not evaluated.",
        "model · stopped 2027-03-03",
        "and none of the evaluation",
        "139 of 600 rounds of one step",
    ] {
        assert!(html.contains(text), "{text}");
    }
    for never in ["oo few people", "finished", "paid for no subgroup", "one histogram of scores", "bootstrap"]
    {
        assert!(!html.contains(never), "{never}");
    }
    // Stopped late: what was released is there, and that it was stopped as well.
    let mut data = sample::distributed();
    data.stopped = Some(Stopped { reason: "by the consortium".into(), rounds: 600, rounds_planned: 600 });
    let html = super::html(&data);
    check_well_formed(&html);
    assert!(
        html.contains("Stopped after 600 of 600 rounds: by the consortium.<") && html.contains("bootstrap")
    );
    assert!(!html.contains("not evaluated"));
    // Run to its end, and nothing could be released.
    let mut data = sample::report();
    data.metrics.models.clear();
    assert!(super::html(&data).contains("No evaluation was released"));
}

#[test]
fn without_sampling_everybody_is_in_every_step() {
    let mut data = sample::report();
    let sampled = html(&data);
    data.study.privacy.training.sampling_rate = 1.0;
    let whole = html(&data);
    check_well_formed(&whole);
    for (text, if_sampled) in [
        ("When a hospital draws an unusually large group", true),
        ("a sample larger than the public padding", true),
        ("in secret;", true),
        ("Poisson sample", true),
        ("everybody is in every step", false),
    ] {
        assert_eq!(sampled.contains(text), if_sampled, "{text}");
        assert_eq!(whole.contains(text), !if_sampled, "{text}");
    }
}

#[test]
fn sites_of_many_rounds_are_told_in_short() {
    fn check(sites_of_rounds: Vec<usize>, expected: &str) {
        let mut data = sample::distributed();
        data.metrics.privacy.sums.as_mut().expect("distributed").sites_of_rounds = sites_of_rounds;
        let html = html(&data);
        assert!(html.contains(expected), "{expected}");
    }
    check(vec![], "sums only: 0 of training, and");
    check(vec![4; 600], "sums only: 600 of training (always over 4 sites), and");
    check([vec![4; 40], vec![3]].concat(), "41 of training (sites: 4 in rounds 1–40, 3 in round 41), and");
    check([4, 4, 3].repeat(20), "60 of training (sites: 4 in 40 rounds, 3 in 20 rounds), and");
}

#[test]
fn ledgers_that_only_the_coordinator_cosigned_are_named() {
    let mut data = sample::report();
    let site = data.metrics.sites[0].clone();
    data.cosigners = Cosigners::Mixed { alone: vec![site.clone()] };
    let html = html(&data);
    check_well_formed(&html);
    assert!(html.contains(&format!("but for those of {site}: the coordinator alone")));
}

#[test]
fn an_audit_stands_beside_the_claim() {
    let document = include_bytes!("../../../tests/vectors/audit/audit.json");
    let mut data = sample::report();
    assert!(!html(&data).contains("Audit of the mechanism"));
    data.audit = Some(Audit::parse(document).expect("what an audit wrote"));
    let html = html(&data);
    check_well_formed(&html);
    assert!(html.contains("<dt>Claimed ε</dt><dd>2.59</dd><dt>Measured lower bound of ε</dt><dd>0.74</dd>"));
}
