//! Attacks 2 and 3 with every means: a coordinator with three of ten sites on its side tells each honest
//! site another set of survivors; and what it would get from sites that check less.

use super::*;
use crate::secagg::dealing::halves;
use crate::secagg::exchange::ExchangeKey;
use crate::secagg::mask::{Mask, apply};
use crate::secagg::message::{MaskedInput, Secret, Survivors, SurvivorsCertificate, SurvivorsSignature};
use crate::secagg::shamir::Weights;
use crate::secagg::site::Held;
use zeroize::Zeroizing;

const THRESHOLD: u8 = 7;
const HONEST: std::ops::RangeInclusive<u8> = 1..=7;
const COLLUDING: [u8; 3] = [8, 9, 10];

/// Ten sites, t = 7, n_C = 3: 2t > n + n_C by one. All of them masked.
struct Siege {
    world: World,
    masked: PerSite<Masked>,
    messages: PerSite<MaskedInput>,
    publics: PerSite<[u8; 32]>,
    /// The noised integers of every site, which the coordinator wants.
    vectors: PerSite<Vec<i64>>,
    /// The pairwise secrets of the colluding sites.
    pairs: PerSite<PerSite<Zeroizing<[u8; 32]>>>,
    /// By dealer, the shares of both secrets that the coordinator came by.
    loot: PerSite<[PerSite<[u8; 32]>; 2]>,
}

fn siege() -> Siege {
    let mut world = World::new(10, THRESHOLD, 3, 32);
    let all = world.all();
    let (ready, shared) = world.share(FIRST, &all).expect("shares");
    let publics = shared.dealers.iter().map(|(i, dealer)| (*i, dealer.mask_public)).collect();
    let (_, request) = shared.request(model());
    let mut siege = Siege {
        world,
        masked: BTreeMap::new(),
        messages: BTreeMap::new(),
        publics,
        vectors: BTreeMap::new(),
        pairs: BTreeMap::new(),
        loot: BTreeMap::new(),
    };
    for (i, state) in ready {
        if COLLUDING.contains(&i.get()) {
            siege.pairs.insert(i, state.secrets.clone());
            for &dealer in &all {
                siege.take(i, dealer, Secret::OwnMask, reveal(&state.held, dealer, Secret::OwnMask));
                siege.take(i, dealer, Secret::MaskKey, reveal(&state.held, dealer, Secret::MaskKey));
            }
        }
        let world = &mut siege.world;
        let (input, reserve) = (world.input(i), world.reserve(FIRST, model()));
        let session = world.sites.get_mut(&i).expect("a site");
        let (state, message) =
            state.mask(session, &world.identities[&i], &request, &reserve, &input).expect("masks");
        siege.vectors.insert(i, input.values().to_vec());
        siege.masked.insert(i, state);
        siege.messages.insert(i, message);
    }
    siege
}

fn reveal(held: &Held, dealer: SiteIndex, secret: Secret) -> [u8; 32] {
    *halves(&held[&dealer])[usize::from(secret == Secret::MaskKey)]
}

impl Siege {
    fn take(&mut self, from: SiteIndex, dealer: SiteIndex, secret: Secret, share: [u8; 32]) {
        self.loot.entry(dealer).or_default()[usize::from(secret == Secret::MaskKey)].insert(from, share);
    }

    /// A site's secret, if there are t shares of it.
    fn secret(&self, dealer: u8, secret: Secret) -> Option<Zeroizing<[u8; 32]>> {
        let shares = &self.loot[&index(dealer)][usize::from(secret == Secret::MaskKey)];
        let threshold = usize::from(THRESHOLD);
        let at: Vec<SiteIndex> = shares.keys().copied().take(threshold).collect();
        let values: Vec<[u8; 32]> = shares.values().copied().take(threshold).collect();
        (at.len() == threshold).then(|| Weights::at_zero(&at).expect("different").combine(&values))
    }

    /// What the two of a pair agreed on, if the coordinator can know.
    fn pair(&self, a: u8, b: u8) -> Option<Zeroizing<[u8; 32]>> {
        let by = |mine: u8, other: u8| {
            let known = self.pairs.get(&index(mine)).map(|pairs| pairs[&index(other)].clone());
            known.or_else(|| {
                let key = ExchangeKey::from_bytes(&*self.secret(mine, Secret::MaskKey)?);
                key.agree(&self.publics[&index(other)]).ok()
            })
        };
        by(a, b).or_else(|| by(b, a))
    }

    /// The sum over `victims` and no others, if their own masks and all pairwise masks that do not cancel
    /// among them can be taken off.
    fn read(&self, victims: &[u8]) -> Option<Vec<i64>> {
        let binding = &self.messages[&index(1)].binding;
        let mut lanes = crate::secagg::Lanes::zero(crate::secagg::LaneWidth::Bits32, 32);
        for &victim in victims {
            lanes.add(&self.messages[&index(victim)].lanes);
            let seed = self.secret(victim, Secret::OwnMask)?;
            let mut masks = vec![Mask::own(&seed, binding, index(victim)).removed()];
            for other in (1..=10).filter(|other| !victims.contains(other)) {
                let pair = self.pair(victim, other)?;
                masks.push(Mask::pair(&pair, binding, index(victim), index(other)).removed());
            }
            apply(&mut lanes, &masks);
        }
        Some(lanes.center())
    }

    fn expected(&self, victims: &[u8]) -> Vec<i64> {
        add(victims.iter().map(|victim| &self.vectors[&index(*victim)]))
    }

    fn survivors(&self, of: &Sites) -> Survivors {
        let digest = |i: &SiteIndex| (*i, self.messages[i].lanes.digest());
        Survivors { binding: self.messages[&index(1)].binding, survivors: of.iter().map(digest).collect() }
    }

    /// Tells honest sites sets of survivors, has the colluding sites sign each, passes on the signatures of
    /// those who were told the same, and asks everybody to reveal. Returns what was refused.
    fn equivocate(&mut self, told: &[(Vec<u8>, Sites)]) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for (group, set) in told {
            let survivors = self.survivors(set);
            let signed = SurvivorsSignature::signing_input(&survivors.binding, &survivors.digest());
            let mut signatures: PerSite<_> =
                COLLUDING.map(|i| (index(i), identity(i).sign(&signed))).into_iter().collect();
            let mut states = Vec::new();
            for i in group.iter().copied().map(index) {
                let state = self.masked.remove(&i).expect("asked once");
                match state.sign(&self.world.sites[&i], &self.world.identities[&i], &survivors) {
                    Ok((state, message)) => {
                        signatures.insert(i, message.signature);
                        states.push((i, state));
                    }
                    Err(refusal) => refusals.push(refusal),
                }
            }
            let (binding, survivors) = (survivors.binding, survivors.digest());
            let certificate = SurvivorsCertificate { binding, survivors, signatures };
            for (i, state) in states {
                match state.unmask(&self.world.sites[&i], &certificate) {
                    Ok((_, message)) => message.shares.iter().for_each(|(&dealer, revealed)| {
                        self.take(i, dealer, revealed.secret, *revealed.share);
                    }),
                    Err(refusal) => refusals.push(refusal),
                }
            }
        }
        refusals
    }

    /// What a site that does not ask for signatures reveals for a set of survivors.
    fn reveal_unchecked(&mut self, site: u8, survivors: &Sites) {
        for dealer in self.world.all() {
            let secret = if survivors.contains(&dealer) { Secret::OwnMask } else { Secret::MaskKey };
            let share = reveal(&self.masked[&index(site)].held, dealer, secret);
            self.take(index(site), dealer, secret, share);
        }
    }
}

/// The victim is alive to some, dead to the others, in every split: one of the groups, with the colluding
/// sites, may make t, never both.
#[test]
fn alive_and_dead_is_refused() {
    for cut in 1..=6 {
        let mut siege = siege();
        let all = siege.world.all();
        let without = &all - &sites([1]);
        let honest: Vec<u8> = HONEST.collect();
        let (alive, dead) = honest.split_at(cut);
        let refusals = siege.equivocate(&[(alive.to_vec(), all), (dead.to_vec(), without)]);
        assert_eq!(siege.read(&[1]), None, "cut at {cut}");
        let few = alive.len().min(dead.len()) + COLLUDING.len();
        let phase = "survivors' signatures";
        let expected = Refusal::TooFew { phase, found: few, threshold: THRESHOLD };
        assert_eq!(refusals, vec![expected; alive.len().min(dead.len())], "cut at {cut}");
    }
}

/// A set of its own for every honest site, each large enough, by which sites 1 and 2 are alive to all and
/// each other one dead to four: their own masks would be revealed, and all masks between them and others.
fn sets_around_two() -> Vec<(Vec<u8>, Sites)> {
    let set = |site: u8, a: u8, b: u8| (vec![site], sites([1, 2, a, b].into_iter().chain(COLLUDING)));
    vec![set(1, 3, 4), set(2, 5, 6), set(3, 3, 4), set(4, 4, 5), set(5, 5, 6), set(6, 6, 7), set(7, 7, 3)]
}

#[test]
fn many_sets_are_refused() {
    let mut siege = siege();
    let refusals = siege.equivocate(&sets_around_two());
    let expected = Refusal::TooFew { phase: "survivors' signatures", found: 4, threshold: THRESHOLD };
    assert_eq!(refusals, vec![expected; 7]);
    assert_eq!(siege.read(&[1, 2]), None);
}

/// Mutant, survivors not checked: the sum of two sites comes out, with two shares of noise instead of
/// t − n_C = 4. (A single site cannot be cut out that way: 2t > n + n_C.)
#[test]
fn unchecked_survivors_are_seen() {
    let mut siege = siege();
    for (site, set) in sets_around_two() {
        assert!(set.len() >= usize::from(THRESHOLD), "a site checks the number");
        siege.reveal_unchecked(site[0], &set);
    }
    assert_eq!(siege.read(&[1, 2]), Some(siege.expected(&[1, 2])));
    assert_eq!(siege.read(&[1]), None);
}

/// Mutant, both shares given, by as few as t − n_C honest sites: the one vector is there.
#[test]
fn both_shares_are_seen() {
    let mut siege = siege();
    let all = siege.world.all();
    for site in [2, 3, 4, 5] {
        assert_eq!(siege.read(&[1]), None, "before site {site}");
        siege.reveal_unchecked(site, &all);
        siege.reveal_unchecked(site, &(&all - &sites([1])));
    }
    assert_eq!(siege.read(&[1]), Some(siege.expected(&[1])));
}

/// The attack of the same power on the true protocol: the one honest set, in full. The coordinator learns
/// the sum over all, and no sum over fewer.
#[test]
fn an_honest_run_gives_one_sum() {
    let mut siege = siege();
    let (all, honest) = (siege.world.all(), HONEST.collect::<Vec<_>>());
    assert_eq!(siege.equivocate(&[(honest.clone(), all)]), []);
    assert_eq!(siege.read(&honest), Some(siege.expected(&honest)));
    for fewer in 1..7 {
        assert_eq!(siege.read(&honest[..fewer]), None);
        assert_eq!(siege.read(&honest[fewer..]), None);
    }
}
