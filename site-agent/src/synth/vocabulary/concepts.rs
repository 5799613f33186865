//! The concepts themselves. Ids that were there once keep their meaning: studies name them.

use super::{ConceptId, LOCAL};

/// One concept. Its parents are those right above it, by their places from [`LOCAL`] on.
pub(super) struct Concept {
    /// Place from [`LOCAL`] on.
    pub(super) place: ConceptId,
    /// As studies assert it.
    pub(super) name: &'static str,
    pub(super) domain: &'static str,
    pub(super) vocabulary: &'static str,
    pub(super) class: &'static str,
    /// In its vocabulary; none where it is `SYN-` and the place.
    pub(super) code: Option<&'static str>,
    /// `S` standard, `C` classification.
    pub(super) standard: &'static str,
    pub(super) parents: &'static [ConceptId],
}

impl Concept {
    pub(super) const fn id(&self) -> ConceptId {
        LOCAL + self.place
    }
}

const fn concept(
    place: ConceptId,
    name: &'static str,
    domain: &'static str,
    class: &'static str,
    parents: &'static [ConceptId],
) -> Concept {
    Concept { place, name, domain, vocabulary: "Synth", class, code: None, standard: "S", parents }
}

const fn disorder(place: ConceptId, name: &'static str, parents: &'static [ConceptId]) -> Concept {
    concept(place, name, "Condition", "Disorder", parents)
}

const fn finding(place: ConceptId, name: &'static str, parents: &'static [ConceptId]) -> Concept {
    concept(place, name, "Condition", "Finding", parents)
}

const fn reported(place: ConceptId, name: &'static str, parents: &'static [ConceptId]) -> Concept {
    concept(place, name, "Observation", "Finding", parents)
}

/// A class of medicines, with a code as ATC has them: each level adds to the code of the one above.
const fn class_of_drugs(
    place: ConceptId,
    code: &'static str,
    name: &'static str,
    parents: &'static [ConceptId],
) -> Concept {
    let drug = concept(place, name, "Drug", "Drug Class", parents);
    Concept { vocabulary: "SynthATC", code: Some(code), standard: "C", ..drug }
}

const fn ingredient(place: ConceptId, name: &'static str, parents: &'static [ConceptId]) -> Concept {
    concept(place, name, "Drug", "Ingredient", parents)
}

const fn product(place: ConceptId, name: &'static str, parents: &'static [ConceptId]) -> Concept {
    concept(place, name, "Drug", "Clinical Drug", parents)
}

const fn visit(place: ConceptId, name: &'static str, parents: &'static [ConceptId]) -> Concept {
    concept(place, name, "Visit", "Visit", parents)
}

/// A unit, by its code in UCUM, which is nobody's invention.
const fn unit(place: ConceptId, code: &'static str, name: &'static str) -> Concept {
    let unit = concept(place, name, "Unit", "Unit", &[]);
    Concept { vocabulary: "UCUM", code: Some(code), ..unit }
}

const fn ethnic_group(place: ConceptId, name: &'static str) -> Concept {
    concept(place, name, "Race", "Ethnic group", &[610])
}

/// All of them. A concept may stand below several.
pub(super) const CONCEPTS: &[Concept] = &[
    disorder(100, "Mental disorder (invented)", &[]),
    disorder(110, "Depression (invented)", &[100, 160]),
    disorder(111, "Mild depression (invented)", &[110]),
    disorder(1111, "Mild depression with sleep loss (invented)", &[111]),
    disorder(1112, "Mild depression after childbirth (invented)", &[111]),
    disorder(112, "Severe depression (invented)", &[110]),
    disorder(1121, "Severe depression with agitation (invented)", &[112]),
    disorder(1122, "Severe depression with stupor (invented)", &[112]),
    disorder(113, "Recurrent depression (invented)", &[110]),
    disorder(1131, "Recurrent depression, mild now (invented)", &[113, 111]),
    disorder(1132, "Recurrent depression, severe now (invented)", &[113, 112]),
    disorder(120, "Psychosis (invented)", &[100]),
    disorder(121, "First psychosis (invented)", &[120]),
    disorder(1211, "First psychosis with voices (invented)", &[121]),
    disorder(1212, "First psychosis with disordered thought (invented)", &[121]),
    disorder(122, "Lasting psychosis (invented)", &[120]),
    disorder(1221, "Lasting psychosis with withdrawal (invented)", &[122]),
    disorder(1222, "Lasting psychosis in partial remission (invented)", &[122]),
    disorder(123, "Delusional psychosis (invented)", &[120]),
    disorder(1231, "Delusional psychosis of jealousy (invented)", &[123]),
    disorder(1232, "Delusional psychosis of persecution (invented)", &[123]),
    disorder(130, "Bipolar disorder (invented)", &[100, 160]),
    disorder(131, "Bipolar disorder with mania (invented)", &[130]),
    disorder(1311, "Mania with irritability (invented)", &[131]),
    disorder(1312, "Mania with elation (invented)", &[131]),
    disorder(132, "Bipolar disorder without mania (invented)", &[130]),
    disorder(1321, "Bipolar disorder with brief hypomania (invented)", &[132]),
    disorder(1322, "Bipolar disorder with long hypomania (invented)", &[132]),
    disorder(133, "Bipolar disorder in remission (invented)", &[130]),
    disorder(1331, "Bipolar disorder in early remission (invented)", &[133]),
    disorder(1332, "Bipolar disorder in lasting remission (invented)", &[133]),
    disorder(134, "Bipolar depression (invented)", &[130, 110]),
    disorder(140, "Other mental disorder (invented)", &[100]),
    disorder(141, "Anxiety (invented)", &[140]),
    disorder(1411, "Panic (invented)", &[141]),
    disorder(1412, "Phobia (invented)", &[141]),
    disorder(142, "Personality disorder (invented)", &[140]),
    disorder(1421, "Personality disorder with impulsivity (invented)", &[142]),
    disorder(1422, "Personality disorder with avoidance (invented)", &[142]),
    disorder(143, "Eating disorder (invented)", &[140]),
    disorder(1431, "Eating disorder with restriction (invented)", &[143]),
    disorder(1432, "Eating disorder with bingeing (invented)", &[143]),
    disorder(150, "Alcohol misuse (invented)", &[100, 180]),
    disorder(151, "Harmful drinking (invented)", &[150]),
    disorder(152, "Alcohol dependence (invented)", &[150]),
    disorder(1521, "Alcohol dependence with withdrawal (invented)", &[152]),
    disorder(160, "Mood disorder (invented)", &[100]),
    disorder(170, "Organic mental disorder (invented)", &[100]),
    disorder(171, "Organic psychosis (invented)", &[170, 120]),
    disorder(172, "Organic depression (invented)", &[170, 110]),
    disorder(173, "Dementia (invented)", &[170]),
    disorder(1731, "Dementia of late onset (invented)", &[173]),
    disorder(180, "Substance use disorder (invented)", &[100]),
    disorder(181, "Opioid misuse (invented)", &[180]),
    disorder(182, "Cannabis misuse (invented)", &[180]),
    disorder(183, "Substance-induced psychosis (invented)", &[180, 120]),
    finding(190, "Symptom of the mind (invented)", &[]),
    finding(191, "Low mood (invented)", &[190]),
    finding(192, "Unusual experience (invented)", &[190]),
    finding(200, "Self-harm (invented)", &[]),
    finding(201, "Self-injury (invented)", &[200]),
    finding(2011, "Self-injury by cutting (invented)", &[201]),
    finding(2012, "Self-injury by burning (invented)", &[201]),
    finding(202, "Self-poisoning (invented)", &[200]),
    finding(2021, "Self-poisoning by medicine (invented)", &[202]),
    finding(2022, "Self-poisoning by gas (invented)", &[202]),
    reported(211, "Harm to self reported (invented)", &[200]),
    reported(2111, "Harm to self reported by family (invented)", &[211]),
    reported(2112, "Harm to self reported by police (invented)", &[211]),
    reported(212, "Suicide attempt reported (invented)", &[200]),
    reported(2121, "Suicide attempt by poisoning reported (invented)", &[212, 202]),
    reported(2122, "Suicide attempt by jumping reported (invented)", &[212]),
    finding(220, "Late effect of self-harm (invented)", &[200]),
    finding(221, "Scar from self-injury (invented)", &[220, 201]),
    finding(2211, "Painful scar from self-injury (invented)", &[221]),
    class_of_drugs(300, "N9", "Psychotropic medicines (invented)", &[]),
    class_of_drugs(310, "N9A", "Antidepressants (invented)", &[300]),
    class_of_drugs(315, "N9AA", "Single-action antidepressants (invented)", &[310]),
    class_of_drugs(316, "N9AB", "Dual-action antidepressants (invented)", &[310]),
    ingredient(311, "Sertavine (invented)", &[315]),
    product(3111, "Sertavine 50 mg tablet (invented)", &[311]),
    product(3112, "Sertavine 100 mg tablet (invented)", &[311]),
    ingredient(312, "Mirtalopram (invented)", &[316]),
    product(3121, "Mirtalopram 15 mg tablet (invented)", &[312]),
    product(3122, "Mirtalopram 30 mg tablet (invented)", &[312]),
    ingredient(313, "Duloxafine (invented)", &[316]),
    product(3131, "Duloxafine 30 mg capsule (invented)", &[313]),
    product(3132, "Duloxafine 60 mg capsule (invented)", &[313]),
    class_of_drugs(320, "N9B", "Antipsychotics (invented)", &[300]),
    class_of_drugs(325, "N9BA", "Oral antipsychotics (invented)", &[320]),
    class_of_drugs(326, "N9BB", "Long-acting antipsychotics (invented)", &[320]),
    ingredient(321, "Olanperidol (invented)", &[325]),
    product(3211, "Olanperidol 5 mg tablet (invented)", &[321]),
    product(3212, "Olanperidol 10 mg tablet (invented)", &[321]),
    ingredient(322, "Risperipine (invented)", &[325, 326]),
    product(3221, "Risperipine 2 mg tablet (invented)", &[322, 325]),
    product(3222, "Risperipine 50 mg injection (invented)", &[322, 326]),
    ingredient(323, "Aripizapine (invented)", &[325]),
    product(3231, "Aripizapine 10 mg tablet (invented)", &[323]),
    product(3232, "Aripizapine 15 mg tablet (invented)", &[323]),
    ingredient(390, "Other medicine (invented)", &[]),
    product(3901, "Other medicine 10 mg tablet (invented)", &[390]),
    product(3902, "Other medicine 20 mg tablet (invented)", &[390]),
    visit(400, "Visit (invented)", &[]),
    visit(410, "Inpatient stay (invented)", &[400]),
    visit(411, "Psychiatric stay (invented)", &[410]),
    visit(4111, "Psychiatric intensive care stay (invented)", &[411]),
    visit(412, "General hospital stay (invented)", &[410]),
    visit(420, "Outpatient contact (invented)", &[400]),
    visit(421, "Assessment visit (invented)", &[420]),
    visit(422, "Community mental-health contact (invented)", &[420]),
    visit(430, "Emergency visit (invented)", &[400]),
    visit(431, "Emergency visit with psychiatric liaison (invented)", &[430]),
    concept(590, "Questionnaire score (invented)", "Measurement", "Score", &[]),
    concept(500, "PHQ-9 total (invented)", "Measurement", "Score", &[590]),
    concept(501, "GAD-7 total (invented)", "Measurement", "Score", &[590]),
    concept(580, "Body measure (invented)", "Measurement", "Body measure", &[]),
    concept(510, "Body mass index (invented)", "Measurement", "Body measure", &[580]),
    concept(511, "Body weight (invented)", "Measurement", "Body measure", &[580]),
    concept(512, "Glycated haemoglobin (invented)", "Measurement", "Laboratory", &[]),
    unit(520, "{score}", "Score (invented)"),
    unit(530, "kg/m2", "Kilogram per square metre (invented)"),
    unit(531, "kg", "Kilogram (invented)"),
    unit(532, "[lb_av]", "Pound (invented)"),
    unit(533, "mmol/mol", "Millimole per mole (invented)"),
    unit(534, "%", "Per cent (invented)"),
    concept(600, "Deprivation quintile (invented)", "Observation", "Social context", &[]),
    concept(610, "Ethnicity (invented)", "Observation", "Social context", &[]),
    ethnic_group(621, "White (invented)"),
    ethnic_group(622, "Asian (invented)"),
    ethnic_group(623, "Black (invented)"),
    ethnic_group(624, "Mixed (invented)"),
    ethnic_group(625, "Other ethnic group (invented)"),
    ethnic_group(626, "Ethnicity not asked (invented)"),
    ethnic_group(627, "Ethnicity refused (invented)"),
    concept(700, "Specialty (invented)", "Provider", "Specialty", &[]),
    concept(710, "Psychiatry (invented)", "Provider", "Specialty", &[700]),
    concept(711, "General medicine (invented)", "Provider", "Specialty", &[700]),
    concept(712, "Emergency medicine (invented)", "Provider", "Specialty", &[700]),
    concept(720, "Place of service (invented)", "Visit", "Place", &[]),
    concept(721, "Mental-health ward (invented)", "Visit", "Place", &[720]),
    concept(722, "Mental-health clinic (invented)", "Visit", "Place", &[720]),
    concept(723, "General ward (invented)", "Visit", "Place", &[720]),
    concept(724, "Emergency department (invented)", "Visit", "Place", &[720]),
    concept(750, "Language (invented)", "Language", "Language", &[]),
    concept(751, "English (invented)", "Language", "Language", &[750]),
    concept(752, "German (invented)", "Language", "Language", &[750]),
    concept(760, "Clinical note (invented)", "Note", "Note class", &[]),
    concept(761, "Assessment note (invented)", "Note", "Note class", &[760]),
    concept(762, "Contact note (invented)", "Note", "Note class", &[760]),
    concept(770, "UTF-8 (invented)", "Metadata", "Encoding", &[]),
    reported(800, "Finding in a note (invented)", &[]),
    reported(801, "Suicidal thoughts in a note (invented)", &[800]),
    reported(802, "Self-harm in a note (invented)", &[800]),
    reported(803, "Hearing voices in a note (invented)", &[800]),
    reported(804, "Hopelessness in a note (invented)", &[800]),
    reported(805, "Heavy drinking in a note (invented)", &[800]),
    reported(806, "Sleeplessness in a note (invented)", &[800]),
    concept(900, "Invented record", "Type Concept", "Type Concept", &[]),
    concept(910, "Primary diagnosis (invented)", "Condition Status", "Condition Status", &[]),
];
