#!/usr/bin/env python3
"""A second verifier of a Consilium bundle, which shares no line with the first.

    python3 -m venv v && v/bin/pip install -r docs/verify-requirements.txt
    v/bin/python docs/verify.py BUNDLE [--json]

Reads the ledgers' tiles itself, recomputes every leaf hash and the tree head, checks signatures, replays what
may follow what, compares every output with the entry that committed to it and every secure sum with the ledger of
each site in it, and computes epsilon of each site and account with Google's dp-accounting, by PLD and by RDP. Exit code: 0 it all holds, 1 it does not, 2 not readable.

What it leaves to `auditor verify`: computing the models again from the updates or sums, the shape of each file, and the
Renyi filter over several studies. Without the package `cryptography` signatures are not checked, and it says so.
"""
import base64, collections, functools, hashlib, itertools, json, math, pathlib, struct, sys, tomllib

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None

ORDERS = [*range(2, 257), 320, 384, 512, 768, 1024]  # integer orders only: exact for the subsampled Gaussian
EMPTY = hashlib.sha256(b"").hexdigest()


class Bad(Exception):
    """What does not hold, and where."""


def need(holds, what):
    if not holds:
        raise Bad(what)


# Hashes, tiles and notes: RFC 6962 and C2SP tlog-tiles, signed-note, tlog-cosignature.
def leaf(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def head(hashes):
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256(b"").digest()
    k = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + head(hashes[:k]) + head(hashes[k:])).digest()


def tile(folder, row, n, width):
    digits = f"{n % 1000:03}"
    while n := n // 1000:
        digits = f"x{n % 1000:03}/{digits}"
    return (folder / "tile" / row / (digits if width == 256 else f"{digits}.p/{width}")).read_bytes()


def ledger_entries(folder, size):
    entries, rows = [], []
    for n, start in enumerate(range(0, size, 256)):
        width, data = min(256, size - start), tile(folder, "entries", n, min(256, size - start))
        for _ in range(width):
            length = int.from_bytes(data[:2], "big")
            need(len(data) >= 2 + length, f"entry {len(entries)} is cut off")
            entries.append(data[2 : 2 + length])
            data = data[2 + length :]
        need(not data, f"bytes after entry {len(entries) - 1}")
    row, level = [leaf(entry) for entry in entries], 0
    leaves = row
    while row:
        for n, start in enumerate(range(0, len(row), 256)):
            part = row[start : start + 256]
            found = tile(folder, str(level), n, len(part))
            if found != b"".join(part):
                at = next(i for i, h in enumerate(part) if found[32 * i : 32 * i + 32] != h) if len(found) else 0
                raise Bad(f"entry {(start + at) << 8 * level}: not what the hash tile of level {level} names")
        row = [head(row[i : i + 256]) for i in range(0, len(row) - len(row) % 256, 256)]
        level += 1
    return entries, leaves


def signed_by(key, signature, message):
    if Ed25519PublicKey is None:
        return True
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.removeprefix("ed25519:"))).verify(signature, message)
        return True
    except InvalidSignature:
        return False


def statement(signed, key, context):
    need(signed["key"] == key, f"signed by {signed['key']}, expected {key}")
    message = f"{context}\n{signed['statement']}".encode()
    need(signed_by(key, bytes.fromhex(signed["signature"]), message), f"{context}: the signature does not verify")
    return json.loads(signed["statement"])


def key_id(name, kind, key):
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + bytes.fromhex(key.removeprefix("ed25519:"))).digest()[:4]


def checkpoint(note, site, key, coordinator, last=True):
    """`last`: the key is the ledger's last for sure; otherwise that another one signed is for the caller to judge. Without a
    coordinator no cosignature is asked for."""
    text, _, lines = note.rpartition("\n\n")
    text += "\n"
    origin, size, root = text.splitlines()
    need(origin.startswith(f"consilium/ledger/{site}/"), f"the checkpoint is of {origin}")
    signed = cosigned = False
    for line in lines.splitlines():
        _, name, data = line.split(" ")
        data = base64.b64decode(data)
        if name == origin and data[:4] == key_id(origin, 1, key):
            need(signed_by(key, data[4:], text.encode()), "the site's signature does not verify")
            signed = True
        if coordinator and name == "consilium/coordinator" and data[:4] == key_id(name, 4, coordinator):
            message = f"cosignature/v1\ntime {int.from_bytes(data[4:12], 'big')}\n{text}".encode()
            need(signed_by(coordinator, data[12:], message), "the coordinator's cosignature does not verify")
            cosigned = True
    need(signed or not last, "the site did not sign the checkpoint")
    need(cosigned or not coordinator, "the coordinator did not cosign the checkpoint")
    return origin, int(size), base64.b64decode(root)


# The rules: what may follow what.
def replay(entries, leaves, site, key, this):
    """`key`: the roster's, in force when `this` study was opened. Also returns the key in force at the end."""
    caps, studies, burns, slots, notes, before, time = None, {}, {}, {}, [], EMPTY, ""
    roster, keys, dataset = key, [], None
    blocks, masked, newest = {}, {}, {}
    for i, raw in enumerate(entries):
        e = json.loads(raw)
        where, kind = f"entry {i} ({e['kind']})", e["kind"]
        need(e["previous"] == f"sha256:{before}", f"{where}: does not follow the entry before it")
        need(e["time"] >= time, f"{where}: is older than the entry before it")
        before, time = leaves[i].hex(), e["time"]
        need((kind == "genesis") == (i == 0), f"{where}: the first entry, and only that, is a genesis")
        study = studies.get(e.get("study"))
        if kind in ("genesis", "policy_change"):
            caps = e["caps"]
            if kind == "genesis":
                need(e["site"] == site, f"{where}: of {e['site']}")
                key, dataset, keys = e["key"], e["dataset"], [e["key"]]
                need((e["unit"], e["neighbours"]) == ("person", "add_remove_one"), f"{where}: another unit")
        elif kind == "study_open":
            need(study is None, f"{where}: the study was opened before")
            need(e["study"] != this or key == roster, f"{where}: of {site} with the key {key}")
            approval = statement(e["approval"], key, "consilium/approval/1")
            need((approval["study"], approval["site"]) == (e["study"], site), f"{where}: another approval")
            need(approval["decision"]["decision"] == "approve", f"{where}: the site declined")
            need(e["delta"] <= caps["delta"], f"{where}: delta is above the policy's")
            training = [m for m in e["earmarks"] if m["name"] == "training"]
            for m in training:
                need(m["noise_multiplier"] >= caps["noise_multiplier_min"], f"{where}: less noise than the policy asks")
                need(m.get("sampling_rate", 1) <= caps["sampling_rate_max"], f"{where}: a larger sample than allowed")
            need(sum(m["count"] for m in training) <= caps["steps_max"], f"{where}: more steps than allowed")
            for account in ("training", "evaluation"):
                uses, cap = events(e["earmarks"], [m["count"] for m in e["earmarks"]], account), caps["epsilon_per_study"]
                # By PLD, which is never above RDP; a thousandth for the grid that this PLD rounds up on.
                fits = epsilon(uses, caps["delta"], "rdp") <= cap * (1 + 1e-9) or epsilon(uses, caps["delta"], "pld") <= cap * (1 + 1e-3)
                need(fits, f"{where}: {account} people would pay {epsilon(uses, caps['delta'], 'pld')}, allowed {cap}")
            need({"site": site, "key": key} in e["participants"], f"{where}: the site and its key are not among the participants")
            studies[e["study"]] = {"entry": e, "burnt": [0] * len(e["earmarks"]), "closed": False, "caps": caps, "masked": {}, "recovered": []}
        elif kind in ("reserve", "release", "reserve_block", "dataset_version", "cohort_version", "close"):
            need(study and not study["closed"], f"{where}: the study is not open")
            study["closed"] = kind == "close"
            if kind in ("reserve", "release", "reserve_block"):
                need(e["first"] == study["burnt"][e["earmark"]], f"{where}: not the next use of earmark {e['earmark']}")
                study["burnt"][e["earmark"]] += e["count"]
                declared = study["entry"]["earmarks"][e["earmark"]]
                need(0 < e["count"] and study["burnt"][e["earmark"]] <= declared["count"], f"{where}: more than declared")
                if kind == "reserve_block":
                    blocks[i] = {"of": (e["study"], e["earmark"]), "next": e["first"], "end": e["first"] + e["count"]}
                    continue
                need((declared["name"] == "training") == (kind == "reserve"), f"{where}: an earmark of the other kind")
                slot = (e["study"], "round", e["round"]) if kind == "reserve" else (e["study"], "grouping", declared["name"])
                earlier = burns.get(slots.get(slot))
                need(earlier in (None, "aborted"), f"{where}: this output has an earlier entry that is not aborted")
                burns[i], slots[slot] = "open", i
        elif kind == "abort" and e["reserve"] in blocks:
            block = blocks[e["reserve"]]
            need(block["next"] < block["end"] and not studies[block["of"][0]]["closed"], f"{where}: nothing to abort")
            block["end"] = block["next"]
        elif kind == "commit_sum":
            block, place = blocks.get(e["reserve"]), (e["step"], e["attempt"])
            need(block and block["next"] == e["index"] < block["end"], f"{where}: not the next use of a block")
            (of, earmark), last = block["of"], newest.get(block["of"], (-1, (-1, -1)))
            need(not studies[of]["closed"], f"{where}: the study is not open")
            need(e["index"] > last[0] and place > last[1], f"{where}: a use or an attempt again")
            need(earmark == 0 or e["step"] == earmark, f"{where}: another step than the grouping's")
            block["next"], newest[block["of"]] = e["index"] + 1, (e["index"], place)
            masked[i] = studies[of]["masked"][(earmark, *place)] = {"of": of, "at": i, "commit": e, "end": None}
        elif kind == "sum":
            own = masked.get(e["commit"])
            need(own and own["end"] is None and not studies[own["of"]]["closed"], f"{where}: of no open attempt")
            known = [p["site"] for p in studies[own["of"]]["entry"]["participants"]]
            names = e["survivors"]
            need(names == sorted(set(names)) and set(names) <= set(known) and site in names, f"{where}: not survivors")
            own["end"] = e
        elif kind == "recovered":
            need(e["entries"] == i, f"{where}: from a copy of {e['entries']} entries")
            end_what_is_open(i, studies, blocks, burns, slots)
            notes.append(f"{where}: recovered from a copy of {i} entries; later ones were lost, and what was open stays burnt")
        elif kind in ("commit", "abort"):
            need(burns.get(e["reserve"]) == "open", f"{where}: without an open reserve")
            burns[e["reserve"]] = e["output"] if kind == "commit" else "aborted"
        elif kind == "key_change":
            need(all(s["closed"] for s in studies.values()), f"{where}: a study is open under the old key")
            need(e["key"] not in keys, f"{where}: a key that this ledger had before")
            expected = {"site": site, "dataset": dataset, "size": i, "head": e["previous"], "old": key, "new": e["key"]}
            for signed, by in ((e["by_old"], key), (e["by_new"], e["key"])):
                need(statement(signed, by, "consilium/key-change/1") == expected, f"{where}: signed for another ledger, place or key")
            notes.append(f"{where}: the key changed from {key} to {e['key']}, signed by both")
            key = e["key"]
            keys.append(key)
        elif kind == "key_lost":
            others = vouched(e, {"site": site, "dataset": dataset, "size": i, "head": e["previous"], "old": key}, studies, keys, where)
            origin, size, root = checkpoint(e["checkpoint"], site, key, None)
            same = (origin, size, root) == (f"consilium/ledger/{site}/{dataset}", i, head(leaves[:i]))
            need(same, f"{where}: the lost key signed another past than this")
            end_what_is_open(i, studies, blocks, burns, slots)
            for s in (s for s in studies.values() if not s["closed"]):
                s["burnt"], s["closed"] = [m["count"] for m in s["entry"]["earmarks"]], True
            roles = "" if e["split"] == "kept" else "; roles are drawn anew: over studies, what both roles had paid adds up"
            notes.append(f"{where}: the key {key} was lost; {', '.join(others)} vouch for {e['key']}; what was open is charged in whole{roles}")
            key = e["key"]
            keys.append(key)
        elif kind != "refusal":
            notes.append(f"{where}: a kind that this program does not replay")
    return studies, {slot: burns[at] for slot, at in slots.items()}, notes, key


def end_what_is_open(i, studies, blocks, burns, slots):
    """The ledger is a copy of the entries before the i-th: what was open in it is ended, and stays burnt."""
    open_studies, left = {d for d, s in studies.items() if not s["closed"]}, collections.Counter()
    for block in (b for b in blocks.values() if b["of"][0] in open_studies):
        left[block["of"]] += block["end"] - block["next"]
        block["end"] = block["next"]
    for (of, earmark), uses in left.items():
        studies[of]["recovered"].append({"at": i, "earmark": earmark, "uses": uses})
    for slot, at in slots.items():
        burns[at] = "aborted" if burns[at] == "open" and slot[0] in open_studies else burns[at]


def vouched(e, expected, studies, keys, where):
    """Names of the hospitals that vouch for a new key: more than half of the others that the ledger's studies name, two at
    least, each under its newest key there."""
    expected |= {"new": e["key"], "split": e["split"]}
    named, members = {}, {}
    for p in (p for s in studies.values() for p in s["entry"]["participants"] if p["site"] != expected["site"]):
        named[p["site"]] = p["key"]
    for name, key in sorted(named.items()):
        if key not in [*keys, *members.values()]:
            members[name] = key
    need(e["key"] not in [*keys, *members.values()], f"{where}: somebody else's key, or one that this ledger had before")
    need(e["split"] in ("kept", "lost"), f"{where}: what became of the split key?")
    names, signed = [x["site"] for x in e["endorsements"]], [(e["by_new"], e["key"])]
    need(names == sorted(set(names)) and set(names) <= set(members), f"{where}: others vouch than this ledger's studies name")
    need(len(members) >= 2 and len(names) > len(members) // 2, f"{where}: {len(names)} of {len(members)} other hospitals vouch")
    for by, key in signed + [(x["statement"], members[x["site"]]) for x in e["endorsements"]]:
        need(statement(by, key, "consilium/key-loss/1") == expected, f"{where}: signed for another ledger, place or key")
    return names


# Secure sums: docs/PROTOCOL.md, "The sum's file".
def tagged(purpose, *parts):
    return hashlib.sha256(b"consilium/secagg/1/" + purpose.encode() + b"\n" + b"".join(parts)).digest()


def transcript(record, lanes, names, keys, threshold):
    """Digests of the sum and of the transcript, as each survivor wrote them down, if enough of them signed."""
    raw = lambda text: bytes.fromhex(text.removeprefix("sha256:"))
    place = struct.pack("<II", record["step"], record["attempt"])
    binding = raw(record["study"]) + raw(record["session"]) + place + raw(record["roster"]) + raw(record["model"])
    sites = record["survivors"]
    indices = [s["index"] for s in sites]
    need(indices == sorted(set(indices)) and all(names[s["index"] - 1] == s["site"] for s in sites), "other survivors")
    certified = tagged("survivors", binding, *(bytes([s["index"]]) + raw(s["masked"]) for s in sites))
    signed = [s for s in sites if "signature" in s]
    need(len(signed) >= threshold, f"{len(signed)} survivors signed, the threshold is {threshold}")
    for s in signed:
        message = b"consilium/secagg/1/survivors\n" + binding + certified
        need(signed_by(keys[s["site"]], bytes.fromhex(s["signature"]), message), f"{s['site']} did not sign these survivors")
    total = tagged("sum", struct.pack("<Q", len(lanes) // 8), lanes)
    return f"sha256:{total.hex()}", f"sha256:{tagged('transcript', binding, certified, total).hex()}"


def words(earmark, step, attempt):
    """For people, who count rounds and attempts from 1."""
    return f"{f'grouping {earmark}' if earmark else f'round {step + 1}'}, attempt {attempt + 1}"


def lost_with_a_disk(own, recovered, place, taken):
    """Whether the record of a masked vector may be lost: a use of its own was left open at a recovery, and burnt.

    Attempts rise with entries: it comes after all that were recorded before the recovery, and before all after it.
    """
    between = lambda at: all((v["at"] < at) == (p < place) for p, v in own.items() if p[0] == place[0])
    fits = [r for r in recovered if r["earmark"] == place[0] and r["uses"] and between(r["at"])]
    if fits:
        taken[place[0], fits[0]["at"]] += 1
    return fits and taken[place[0], fits[0]["at"]] <= sum(r["uses"] for r in fits)


def sums(bundle, study, names, keys, threshold, masked, earmarks, recovered):
    """Every secure sum is the one in the ledgers of its sites, and every one that a ledger knows of is there."""
    held, models, notes, taken = set(), {}, [], collections.defaultdict(collections.Counter)
    files = sorted(bundle.glob("sums/*"), key=lambda f: (len(f.name), f.name)) + sorted(bundle.glob("evaluation/*/sum"))
    for path in files:
        file = str(path.relative_to(bundle))
        try:
            header, _, lanes = path.read_bytes().partition(b"\n")
            record = json.loads(header)
            of_grouping = path.name == "sum"
            earmark = next(i for i, m in enumerate(earmarks) if m["name"].replace("*", "+") == (path.parent.name if of_grouping else "training"))
            need(record["study"] == study and len(lanes) == 8 * record["length"], "another study or length")
            need(record["step"] == (earmark if of_grouping else int(path.name)), "another step's")
            total, whole = transcript(record, lanes, names, keys, threshold)
            models[(earmark, record["step"])] = record["model"]
            place, ends = (earmark, record["step"], record["attempt"]), 0
            for s in record["survivors"]:
                site = s["site"]
                own = masked[site].get(place)
                # The signature over the survivors is the site's word for session, model and digest of what it masked.
                if own is None and "signature" in s and lost_with_a_disk(masked[site], recovered[site], place, taken[site]):
                    held.add((site, place))
                    notes.append(f"{file}: {site} lost its record of it with its disk; the use that it burnt counts")
                    continue
                need(own, f"{s['site']} has no masked vector for it in its ledger")
                for name, found in (("output", s["masked"]), ("session", record["session"]), ("model", record["model"])):
                    need(own["commit"][name] == found, f"{s['site']}: its ledger has another {name}")
                held.add((s["site"], place))
                if end := own["end"]:
                    ends += 1
                    same = (end["survivors"], end["sum"], end["transcript"]) == ([x["site"] for x in record["survivors"]], total, whole)
                    need(same, f"{s['site']}: its ledger has other survivors, another sum or another transcript")
            followed = not of_grouping and any(f.name == "sum" or int(f.name) > record["step"] for f in files)
            need(ends or followed, "no survivor's ledger says that it is the sum, and no later step fixes it")
            if not ends:
                notes.append(f"{file}: no ledger recorded its end; the model of the next step fixes it, which this program does not compute")
        except Bad as bad:
            raise Bad(f"{file}: {bad}") from None
    for site, own in masked.items():
        for place, vector in own.items():
            need(vector["end"] is None or (site, place) in held, f"{site}: the sum of {words(*place)} is not in the bundle")
            same = models.get(place[:2], vector["commit"]["model"]) == vector["commit"]["model"]
            need(same, f"{site}: masked for another model in {words(*place)}")
    return collections.Counter(site for site, _ in held), notes


# Epsilon, by somebody else's library.
def twice(earmarks, burnt, masked):
    """What somebody known to two hospitals pays for secure sums, for each mix of roles: twice under one noise."""
    for trains in range(3):
        uses = collections.Counter()
        for i, m in enumerate(earmarks):
            times = {"training": trains, "evaluation": 2 - trains, "both": 2}[m["account"]]
            own = {site: {(v["commit"]["session"], place) for place, v in vectors.items() if place[0] == i} for site, vectors in masked.items()}
            unused = max(burnt[site][i] - len(own[site]) for site in own)
            n = min(sum(sorted((b[i] for b in burnt.values()), reverse=True)[:times]), len(set().union(*own.values())) + unused)
            m = {k: v for k, v in m.items() if k not in ("name", "account", "count")}
            if times == 2 and m.get("sampling_rate", 1) < 1:
                m |= {"mechanism": "mixture_gaussian", "sites": 2}
            elif times == 2:
                m["noise_multiplier"] /= 2
            if n and times:
                uses[json.dumps(m, sort_keys=True)] += n
        yield uses


def events(earmarks, counts, account):
    """Uses of each mechanism that people on an account pay for."""
    uses = collections.Counter()
    for m, n in zip(earmarks, counts):
        if n and m["account"] in (account, "both"):
            uses[json.dumps({k: v for k, v in m.items() if k not in ("name", "account", "count")}, sort_keys=True)] += n
    return uses


def epsilon(uses, delta, by):
    return priced(tuple(sorted(uses.items())), delta, by)


@functools.cache
def priced(uses, delta, by):
    import dp_accounting as dp

    make = {
        "gaussian": lambda m: dp.GaussianDpEvent(m["noise_multiplier"]),
        "poisson_gaussian": lambda m: dp.PoissonSampledDpEvent(m["sampling_rate"], dp.GaussianDpEvent(m["noise_multiplier"])),
        "mixture_gaussian": lambda m: dp.dp_event.MixtureOfGaussiansDpEvent(
            m["noise_multiplier"], range(m["sites"] + 1),
            [math.comb(m["sites"], k) * m["sampling_rate"] ** k * (1 - m["sampling_rate"]) ** (m["sites"] - k) for k in range(m["sites"] + 1)],
        ),
        "laplace": lambda m: dp.LaplaceDpEvent(m["scale"]),
        "poisson_laplace": lambda m: dp.PoissonSampledDpEvent(m["sampling_rate"], dp.LaplaceDpEvent(m["scale"])),
    }
    accountant = dp.rdp.RdpAccountant(ORDERS) if by == "rdp" else dp.pld.PLDAccountant()
    for m, count in ((json.loads(text), count) for text, count in uses):
        accountant.compose(make[m["mechanism"]](m), count)
    return float(accountant.get_epsilon(delta)) if uses else 0.0


def outputs(bundle, study, site, committed):
    """Every output in the bundle is what the ledger committed to."""
    found = [(p, "round", int(p.parts[-3])) for p in bundle.glob(f"rounds/*/updates/{site}")]
    found += [(p, "grouping", p.parts[-2].replace("+", "*")) for p in bundle.glob(f"evaluation/*/{site}.json")]
    for path, *slot in found:
        digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        need(committed.get((study, *slot)) == digest, f"{path.relative_to(bundle)}: not what the ledger committed to")
    return len(found)


def verify(bundle):
    manifest = json.loads((bundle / "bundle.json").read_bytes())
    file = (bundle / "study.toml").read_bytes()
    study, coordinator = "sha256:" + hashlib.sha256(file).hexdigest(), manifest["coordinator"]
    parsed = tomllib.loads(file.decode())
    keys, distributed = {s["name"]: s["key"] for s in parsed["site"]}, parsed["privacy"]["mode"] == "distributed"
    problems, sites, spent, delta, masked, burnt, recovered, untold = [], [], {}, None, {}, {}, {}, []
    try:
        need(study == manifest["study"], "study.toml: another file than bundle.json names")
        start = statement(json.loads((bundle / "start.json").read_bytes()), coordinator, "consilium/start/1")
        signers = sorted((statement(a, a["key"], "consilium/approval/1")["site"], a["key"]) for a in start["approvals"])
        roster = [(site, keys[site]) for site in manifest["sites"]]
        need((start["study"], signers) == (study, roster), "start.json: another study, other sites or other keys")
    except (Bad, OSError, ValueError, KeyError) as error:
        problems.append(str(error))
    for site in manifest["sites"]:
        folder = bundle / "sites" / site / "ledger"
        try:
            note = (folder / "checkpoint").read_text()
            _, size, root = checkpoint(note, site, keys[site], coordinator, last=False)
            entries, leaves = ledger_entries(folder, size)
            studies, committed, notes, key = replay(entries, leaves, site, keys[site], study)
            need(head(leaves) == root, "the entries do not make the signed tree head")
            checkpoint(note, site, key, coordinator)
            need(study in studies, "the study was never opened")
            mine = studies[study]
            delta = mine["entry"]["delta"]
            spent[site] = {a: events(mine["entry"]["earmarks"], mine["burnt"], a) for a in ("training", "evaluation")}
            masked[site], burnt[site], recovered[site] = mine["masked"], mine["burnt"], mine["recovered"]
            need(not committed if distributed else not mine["masked"], "outputs of another mode than the study's")
            sites.append({"name": site, "entries": size, "outputs": outputs(bundle, study, site, committed), "notes": notes})
        except (Bad, OSError, ValueError, KeyError, IndexError, TypeError) as error:
            problems.append(f"{site}: {error if isinstance(error, (Bad, OSError)) else repr(error)}")
    if distributed and not problems:
        try:
            threshold, earmarks = parsed["privacy"]["training"]["quorum"], mine["entry"]["earmarks"]
            counted, untold = sums(bundle, study, manifest["sites"], keys, threshold, masked, earmarks, recovered)
            sites = [row | {"sums": counted[row["name"]]} for row in sites]
        except (Bad, OSError, ValueError, KeyError, IndexError, TypeError, StopIteration) as error:
            problems.append(str(error) if isinstance(error, Bad) else repr(error))
    for row in [] if problems else sites:  # of a bundle that does not hold together no figure means anything
        for by in ("pld", "rdp"):
            accounts = {a: epsilon(e, delta, by) for a, e in spent[row["name"]].items()}
            mixes = [a + b for o in spent if o != row["name"] for a, b in itertools.product(spent[row["name"]].values(), spent[o].values())]
            row[by] = {f"epsilon_{a}": e for a, e in accounts.items()} | {"epsilon_person_max": max(accounts.values())}
            if distributed:  # dp-accounting prices mixtures by PLD only
                mixes = list(twice(earmarks, burnt, masked)) if by == "pld" and len(spent) > 1 else []
            row[by]["epsilon_two_hospitals"] = max((epsilon(mix, delta, by) for mix in mixes), default=None)
    checked = Ed25519PublicKey is not None
    return {"schema": "verify-py/1", "study": study, "delta": delta, "signatures_checked": checked, "sites": sites, "notes": untold, "problems": problems}


def main():
    arguments = [a for a in sys.argv[1:] if a != "--json"]
    if len(arguments) != 1:
        sys.exit(print(__doc__) or 2)
    try:
        answer = verify(pathlib.Path(arguments[0]))
    except (OSError, ValueError, KeyError) as error:
        sys.exit(print(f"verify.py: {error!r}", file=sys.stderr) or 2)
    if "--json" in sys.argv:
        print(json.dumps(answer, indent=2))
    else:
        print(f"study {answer['study']}; epsilon at delta {answer['delta']}, of one person at one site, by PLD (by RDP)")
        for row in [] if answer["problems"] else answer["sites"]:
            both = lambda name: [f"{row[by][name]:.4f}" if row[by][name] is not None else "-" for by in ("pld", "rdp")]
            show = lambda name: "{} ({})".format(*both(name))
            print(f"  {row['name']:20} {row['entries']} entries, {row['outputs']} outputs, {row.get('sums', 0)} sums; training {show('epsilon_training')}, "
                  f"evaluation {show('epsilon_evaluation')}, known to two hospitals {show('epsilon_two_hospitals')}")
        for note in answer["notes"] + [f"{row['name']}: {note}" for row in answer["sites"] for note in row["notes"]]:
            print("note:", note)
        if not answer["signatures_checked"]:
            print("signatures were NOT checked: install the package cryptography")
        for problem in answer["problems"]:
            print("PROBLEM:", problem)
    sys.exit(1 if answer["problems"] else 0)


if __name__ == "__main__":
    main()
