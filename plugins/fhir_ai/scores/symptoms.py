"""Symptoms: what red flags ask about: a text key each, with SNOMED CT ids and ICD-10 categories that say the same."""

from dataclasses import dataclass

SNOMED = "http://snomed.info/sct"
ICD10 = ("http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-10-cm")


@dataclass(frozen=True, slots=True)
class Symptom:
    """One symptom or finding.

    key: our text key. snomed: SNOMED CT ids, matched exactly. icd10: ICD-10 or ICD-10-CM categories, matched as the
    beginning of a code. A symptom without codes is one whose codes say less than the rule needs (severity, suddenness).
    """

    key: str
    title: str
    snomed: tuple[str, ...] = ()
    icd10: tuple[str, ...] = ()


def _symptom(key: str, title: str, snomed: str = "", icd10: str = "") -> Symptom:
    return Symptom(key, title, tuple(snomed.split()), tuple(icd10.split()))


_BREATHING = (
    _symptom("cardiac-arrest", "Cardiac arrest", "410429000", "I46"),
    _symptom("respiratory-arrest", "Not breathing, or respiratory arrest", "87317003", "R09.2"),
    _symptom("airway-obstruction", "Obstructed airway or choking", "79688008", "T17"),
    _symptom("stridor", "Stridor in a calm person", "70407001", "R06.1"),
    _symptom("cyanosis", "Central cyanosis", "3415004", "R23.0"),
    _symptom("respiratory-distress", "Severe respiratory distress", "271825005", "J80 J96.0 R06.03"),
    _symptom("chest-indrawing", "Severe chest indrawing"),
    _symptom("anaphylaxis", "Anaphylaxis", "39579001", "T78.0 T78.2 T80.5 T88.6"),
)
_CIRCULATION = (
    _symptom("shock", "Shock", "27942005", "R57 T81.1"),
    _symptom("chest-pain", "Chest pain", "29857009", "R07.1 R07.2 R07.3 R07.4 R07.8 R07.9 I20.0 I21 I22"),
    _symptom("syncope", "Syncope", "271594007", "R55"),
    _symptom("uncontrolled-bleeding", "Bleeding that does not stop"),
    _symptom("haematemesis", "Vomiting of blood", "8765009", "K92.0"),
    _symptom("melaena", "Melaena", "2901004", "K92.1"),
    _symptom("haemoptysis", "Coughing of blood", "66857006", "R04.2"),
    _symptom("sepsis", "Sepsis", "91302008", "A40 A41 R65.2"),
)
_BRAIN = (
    _symptom("unconscious", "Unconscious", "418107008 371632003", "R40.2"),
    _symptom("altered-mental-status", "New confusion or altered mental state", "419284004 130987000", "R41.0 R41.82"),
    _symptom("lethargic", "Lethargic or hard to wake", "", "R40.0 R40.1"),
    _symptom("convulsion", "Convulsion", "91175000", "R56 G40"),
    _symptom("status-epilepticus", "Convulsion that goes on", "230456007", "G41"),
    _symptom("stroke", "Stroke", "230690007 422504002", "I61 I63 I64"),
    _symptom("hemiparesis", "Weakness of one side", "20022000 50582007", "G81"),
    _symptom("speech-loss", "Loss or slurring of speech", "8011004 87486003", "R47.0 R47.1"),
    _symptom("facial-droop", "Drooping of one side of the face", "", "R29.810"),
    _symptom("sudden-severe-headache", "Sudden, worst headache", "", "G44.53 I60"),
    _symptom("neck-stiffness", "Stiff neck", "161882006", "R29.1 M43.6"),
    _symptom("petechial-rash", "Rash that does not fade on pressure", "271813007", "R23.3 A39"),
    _symptom("suicidal", "Thoughts of suicide or self-harm", "6471006", "R45.851 T14.91"),
    _symptom("overdose", "Overdose or poisoning", "55680006", "T39 T40 T42 T43 T65"),
)
_BODY = (
    _symptom("fever", "Fever", "386661006", "R50"),
    _symptom("severe-abdominal-pain", "Severe abdominal pain", "", "R10.0"),
    _symptom("ketoacidosis", "Diabetic ketoacidosis", "420422005", "E10.1 E11.1"),
    _symptom("severe-burn", "Severe burn"),
    _symptom("major-trauma", "Major trauma", "", "T07"),
    _symptom("snake-bite", "Bite of a venomous snake", "", "T63.0"),
)
_CHILD = (
    _symptom("unable-to-drink", "Cannot drink or breastfeed"),
    _symptom("vomits-everything", "Vomits everything"),
    _symptom("not-feeding-well", "Young infant who stopped feeding well"),
    _symptom("no-spontaneous-movement", "Young infant who moves only when stimulated, or not at all"),
    _symptom("severe-dehydration", "Severe dehydration (lethargic, sunken eyes, skin pinch of 2 seconds and more)"),
    _symptom("poor-perfusion", "Cold hands, capillary refill over 3 seconds, weak and fast pulse"),
)
_PREGNANCY = (
    _symptom("vaginal-bleeding", "Vaginal bleeding", "289530006", "O20 O44.1 O46 O67 O72 N93"),
    _symptom("severe-headache", "Severe headache"),
    _symptom("visual-disturbance", "Blurred or disturbed vision", "63102001 111516008", "H53.1 H53.8"),
    _symptom("reduced-fetal-movement", "Reduced fetal movement", "276369006", "O36.81"),
    _symptom("eclampsia", "Eclampsia", "15938005", "O15"),
    _symptom("cord-prolapse", "Prolapsed cord", "270500004", "O69.0"),
    _symptom("fast-or-difficult-breathing", "Fast or difficult breathing", "267036007 271823003", "R06.0"),
    _symptom("rupture-of-membranes", "Leaking of amniotic fluid before labour", "", "O42"),
)

SYMPTOMS = {each.key: each for group in (_BREATHING, _CIRCULATION, _BRAIN, _BODY, _CHILD, _PREGNANCY) for each in group}
BY_SNOMED = {f"{SNOMED}|{code}": each.key for each in SYMPTOMS.values() for code in each.snomed}
_BY_ICD10 = {code.replace(".", ""): each.key for each in SYMPTOMS.values() for code in each.icd10}
_LONGEST = max(map(len, _BY_ICD10))


def keys_of(code: str) -> str | None:
    """The key of a symptom that `system|code` stands for, or nothing."""
    system, _, value = code.partition("|")
    if system == SNOMED:
        return BY_SNOMED.get(code)
    if system not in ICD10:
        return None
    plain = value.replace(".", "").upper()
    beginnings = (plain[:length] for length in range(min(len(plain), _LONGEST), 2, -1))
    return next((_BY_ICD10[each] for each in beginnings if each in _BY_ICD10), None)
