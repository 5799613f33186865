//! Where people are seen, and under which specialty: CARE_SITE and PROVIDER.

use super::columns;
use crate::synth::SynthError;
use crate::synth::folders::Folders;
use crate::synth::vocabulary::{ConceptId, PLACES, SPECIALTIES};

/// A part of a hospital: its place in the list is its id, and that of its one provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    MentalHealthWard = 1,
    MentalHealthClinic = 2,
    GeneralWard = 3,
    EmergencyDepartment = 4,
}

/// Each with its name, its place of service and its specialty.
const WARDS: [(Place, &str, ConceptId, ConceptId); 4] = [
    (Place::MentalHealthWard, "Mental-health ward", PLACES[0], SPECIALTIES[0]),
    (Place::MentalHealthClinic, "Mental-health clinic", PLACES[1], SPECIALTIES[0]),
    (Place::GeneralWard, "General ward", PLACES[2], SPECIALTIES[1]),
    (Place::EmergencyDepartment, "Emergency department", PLACES[3], SPECIALTIES[2]),
];

impl Place {
    /// Of the ward, and of its provider.
    pub(super) const fn id(self) -> u8 {
        self as u8
    }
}

/// Writes both tables.
pub(super) fn write(folders: &Folders) -> Result<(), SynthError> {
    let mut care_site = folders.table(&columns::CARE_SITE)?;
    let mut provider = folders.table(&columns::PROVIDER)?;
    for (ward, name, place, specialty) in WARDS {
        care_site.row(&[
            ("care_site_id", ward.id().into()),
            ("care_site_name", name.into()),
            ("place_of_service_concept_id", place.into()),
        ])?;
        provider.row(&[
            ("provider_id", ward.id().into()),
            ("specialty_concept_id", specialty.into()),
            ("care_site_id", ward.id().into()),
        ])?;
    }
    care_site.finish()?;
    provider.finish()
}
