// Consent strings as the IAB's reference implementations write them, and what these read out of them. The same seed
// makes the same files, byte for byte:
//
//     npm install && node generate.mjs
//
// tcf.tsv: kind, string, checksum of all answers (see `tcfAnswers`), or `-` where the reference can't read it.
// gpp.tsv: kind, string, and for each section its id and `o` (opts out), `s` (stays) or `t` (a TCF string); or `-`.
//
// The kinds: `whole` is as it was encoded. `broken` was cut or changed: the server may find more of those unreadable
// than the reference does, but never reads anything else in one.

import { writeFileSync } from 'node:fs';
import { GppModel } from '@iabgpp/cmpapi';
import { GVL, PurposeRestriction, TCModel, TCString } from '@iabtcf/core';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const THEN = new Date(Date.UTC(2026, 0, 2));

// mulberry32
let state = 20_261_122;
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const below = (count) => Math.floor(random() * count);
const chance = (share) => random() < share;
const pick = (list) => list[below(list.length)];
const numbers = (first, last) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

// ---- TCF ----

/** Every vendor may do anything, so that nothing which is set is taken away again. */
function vendorList() {
  const purposes = numbers(1, 11);
  const named = (ids) => Object.fromEntries(ids.map((id) => [id, { id, name: `${id}`, description: '', illustrations: [] }]));
  const vendor = (id) => ({
    id, name: `${id}`, purposes, legIntPurposes: purposes.slice(1), flexiblePurposes: purposes,
    specialPurposes: [1], features: [1], specialFeatures: [1, 2], policyUrl: '', usesCookies: true,
  });
  return new GVL({
    gvlSpecificationVersion: 3, vendorListVersion: 120, tcfPolicyVersion: 5, lastUpdated: THEN.toISOString(),
    purposes: named(purposes), specialPurposes: named([1, 2]), features: named([1, 2, 3]),
    specialFeatures: named([1, 2]), stacks: {},
    vendors: Object.fromEntries(numbers(1, 700).map((id) => [id, vendor(id)])),
  });
}

/** A few, many, or runs of vendors, so that bit fields and ranges both come about. */
function vendors() {
  const highest = pick([1, 12, 60, 200, 700]);
  switch (below(4)) {
    case 0: return numbers(1, below(8)).map(() => 1 + below(highest));
    case 1: return numbers(1, highest).filter(() => chance(0.5));
    case 2: return numbers(1, 1 + below(6)).flatMap(() => {
      const first = 1 + below(highest);
      return numbers(first, Math.min(first + below(40), 700));
    });
    default: return chance(0.5) ? [] : [highest];
  }
}

function tcfString(gvl) {
  const model = new TCModel(gvl);
  model.cmpId = 2 + below(4000);
  model.cmpVersion = 1 + below(100);
  model.consentScreen = below(10);
  model.consentLanguage = pick(['EN', 'DE', 'FR', 'PL']);
  model.publisherCountryCode = pick(['DE', 'AT', 'FR']);
  model.isServiceSpecific = true;
  const purposes = () => numbers(1, 11).filter(() => chance(0.8));
  model.purposeConsents.set(purposes());
  model.purposeLegitimateInterests.set(purposes().filter((purpose) => purpose > 1));
  model.vendorConsents.set(vendors());
  model.vendorLegitimateInterests.set(vendors());
  if (chance(0.5)) model.vendorsDisclosed.set(vendors());
  if (chance(0.3)) model.publisherConsents.set(purposes());
  if (chance(0.4)) {
    for (let count = 1 + below(6); count > 0; count--) {
      const restriction = new PurposeRestriction(pick([1, 2, 7, 10, 10]), below(3));
      vendors().slice(0, 30).forEach((vendor) => model.publisherRestrictions.add(vendor, restriction));
    }
  }
  model.created = THEN;
  model.lastUpdated = THEN;
  return TCString.encode(model);
}

/** Consent to purposes 1 to 24, to vendors 1 to 700, and for purposes 1 and 10 which of the vendors the publisher keeps
 *  from using it: one `1` or `0` each, as an FNV-1a checksum of 32 bits. */
function tcfAnswers(text) {
  let model;
  try {
    model = TCString.decode(text);
  } catch {
    return '-';
  }
  if (model.version !== 2) return '-';
  const answers = [
    ...numbers(1, 24).map((purpose) => model.purposeConsents.has(purpose)),
    ...numbers(1, 700).map((vendor) => model.vendorConsents.has(vendor)),
  ];
  for (const purpose of [1, 10]) {
    const restricting = [0, 2].flatMap((type) =>
      model.publisherRestrictions.getVendors(new PurposeRestriction(purpose, type)));
    const restricted = new Set(restricting);
    answers.push(...numbers(1, 700).map((vendor) => restricted.has(vendor)));
  }
  const step = (hash, answer) => Math.imul(hash ^ (answer ? 0x31 : 0x30), 0x01000193) >>> 0;
  return answers.reduce(step, 0x811c9dc5).toString(16).padStart(8, '0');
}

// ---- GPP ----

const STATES = ['ca', 'va', 'co', 'ut', 'ct', 'fl', 'mt', 'or', 'tx', 'de', 'ia', 'ne', 'nh', 'nj', 'tn', 'mn', 'md', 'in',
  'ky', 'ri'];
const SECTIONS = ['tcfeuv2', 'uspv1', 'usnat', ...STATES.map((state) => `us${state}`)];
const OPT_OUTS = ['SaleOptOut', 'SharingOptOut', 'TargetedAdvertisingOptOut'];

function fill(model, name) {
  if (name === 'uspv1') {
    ['Notice', 'OptOutSale', 'LspaCovered'].forEach((field) => model.setFieldValue(name, field, pick(['Y', 'N', '-'])));
    return;
  }
  if (name === 'tcfeuv2') {
    model.setFieldValue(name, 'CmpId', 2 + below(4000));
    model.setFieldValue(name, 'PurposeConsents', numbers(1, 24).map((purpose) => purpose <= 11 && chance(0.8)));
    model.setFieldValue(name, 'VendorConsents', vendors().slice(0, 60));
    model.setFieldValue(name, 'Created', THEN);
    model.setFieldValue(name, 'LastUpdated', THEN);
    return;
  }
  model.setFieldValue(name, 'SaleOptOut', 2);
  for (const [field, value] of Object.entries(model.getSection(name))) {
    if (/Version$|SegmentType$/.test(field)) continue;
    if (typeof value === 'boolean') model.setFieldValue(name, field, chance(0.5));
    else if (Array.isArray(value)) model.setFieldValue(name, field, value.map(() => below(3)));
    else if (field === 'MspaCoveredTransaction') model.setFieldValue(name, field, 1 + below(2));
    else if (OPT_OUTS.includes(field)) model.setFieldValue(name, field, chance(0.2) ? 1 : pick([0, 2]));
    else model.setFieldValue(name, field, below(3));
  }
  if (name === 'usnat' && chance(0.3)) model.setFieldValue(name, 'Version', 1);
}

function gppString() {
  const model = new GppModel();
  const share = pick([0.04, 0.1, 0.3]);
  const names = SECTIONS.filter(() => chance(share));
  (names.length ? names : [pick(SECTIONS)]).forEach((name) => fill(model, name));
  return model.encode();
}

function gppAnswers(text) {
  try {
    const model = new GppModel(text);
    return model.getSectionIds().map((id) => `${id}${gppChoice(model, id)}`).join(' ') || 'none';
  } catch {
    return '-';
  }
}

function gppChoice(model, id) {
  if (id === 2) return 't';
  const name = id === 6 ? 'uspv1' : id === 7 ? 'usnat' : `us${STATES[id - 8]}`;
  if (!SECTIONS.includes(name)) return 'u';
  if (name === 'uspv1') return model.getFieldValue(name, 'OptOutSale') === 'Y' ? 'o' : 's';
  const section = model.getSection(name);
  const optsOut = OPT_OUTS.some((field) => section[field] === 1 || section[field] === 3);
  return optsOut || (section.GpcSegmentIncluded !== false && section.Gpc) ? 'o' : 's';
}

// ---- Files ----

/** Cut, or changed in a character or two. */
function broken(text) {
  const at = below(text.length);
  const letter = () => (chance(0.1) ? pick(['+', '/', ' ', '=', '~', '.', '\u00e9']) : pick(ALPHABET));
  switch (below(5)) {
    case 0: return text.slice(0, at);
    case 1: return text.slice(0, at) + letter() + text.slice(at);
    case 2: return text.slice(0, at) + text.slice(at + 1);
    case 3: return text.slice(0, at) + text.slice(at, at + 1 + below(12)) + text.slice(at);
    default: return text.slice(0, at) + letter() + text.slice(at + 1);
  }
}

function write(name, count, make, answers, part) {
  const lines = [];
  for (let index = 0; index < count; index++) {
    const text = make();
    lines.push(['whole', text, answers(text)]);
    const changed = broken(part(text));
    if (chance(0.6) && changed) lines.push(['broken', changed, answers(changed)]);
  }
  writeFileSync(new URL(name, import.meta.url), lines.map((line) => `${line.join('\t')}\n`).join(''));
  const read = lines.filter(([kind, , answer]) => kind === 'broken' && answer !== '-').length;
  console.log(`${name}: ${lines.length} strings; ${read} broken ones the reference reads`);
}

const gvl = vendorList();
// Other segments of a TCF string are not read, so the core alone is broken.
write('tcf.tsv', 1000, () => tcfString(gvl), tcfAnswers, (text) => text.split('.')[0]);
write('gpp.tsv', 1600, gppString, gppAnswers, (text) => text);
