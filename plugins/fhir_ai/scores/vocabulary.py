"""Vocabulary: every input that a score can ask for, named once, with its unit, plausible limits and window."""

from collections.abc import Iterable
from dataclasses import replace

from fhir_ai.scores.score import Input, Value

FOR_EVER = 0.0
DAY = 24.0
WEEK = 7 * DAY
MONTH = 30 * DAY
YEAR = 365 * DAY


def _number(name: str, title: str, unit: str, limits: tuple[float, float], window: float = DAY) -> Input:
    return Input(name, title, unit=unit, low=limits[0], high=limits[1], window=window)


def _code(name: str, title: str, codes: str, window: float = DAY, default: Value | None = None) -> Input:
    return Input(name, title, kind="code", codes=tuple(codes.split()), window=window, default=default)


def _finding(name: str, title: str, window: float = DAY) -> Input:
    """A yes or no that somebody must have looked for: its absence from a record says nothing."""
    return Input(name, title, kind="boolean", window=window)


def _history(name: str, title: str, window: float = FOR_EVER) -> Input:
    """A diagnosis or treatment that counts when it is recorded, as the sources' own chart reviews counted it."""
    return Input(name, title, kind="boolean", window=window, default=False)


_PEOPLE = (
    _number("age", "Age", "a", (0, 125), FOR_EVER),
    _code("sex", "Sex", "male female", FOR_EVER),
    _code("race", "Race, as the equation asks for it", "white black other", FOR_EVER),
    _code("region", "Region of the kidney failure risk equation", "north_america other", FOR_EVER),
    _number("sdi_decile", "Social Deprivation Index decile", "{decile}", (1, 10), FOR_EVER),
    _history("pregnant", "Pregnancy"),
)

_VITALS = (
    _number("respiratory_rate", "Respiratory rate", "/min", (0, 120)),
    _number("spo2", "Oxygen saturation", "%", (30, 100)),
    _code("spo2_scale", "SpO2 scale (2: a target of 88-92% is recorded)", "1 2", DAY, "1"),
    _finding("on_oxygen", "Breathing supplemental oxygen"),
    _number("systolic", "Systolic blood pressure", "mm[Hg]", (30, 320)),
    _number("diastolic", "Diastolic blood pressure", "mm[Hg]", (10, 220)),
    _number("mean_arterial_pressure", "Mean arterial pressure", "mm[Hg]", (10, 250)),
    _number("heart_rate", "Heart rate", "/min", (0, 350)),
    _number("temperature", "Body temperature", "Cel", (20, 45)),
    _code("consciousness", "Consciousness (ACVPU)", "alert confusion voice pain unresponsive"),
    _number("gcs", "Glasgow coma scale", "{score}", (3, 15)),
    _number("bmi", "Body mass index", "kg/m2", (8, 110), YEAR),
    _number("waist", "Waist circumference", "cm", (30, 250), YEAR),
    _number("urine_24h", "Urine output in 24 hours", "mL", (0, 20000)),
    _number("urine_hourly", "Urine output per hour, over 2 hours", "mL/h", (0, 2000), 4),
    _number("fetal_heart_rate", "Fetal heart rate", "/min", (0, 300), 4),
)

_LABORATORY = (
    _number("wbc", "White blood cells", "10*3/uL", (0, 900)),
    _number("bands", "Band neutrophils", "%", (0, 100)),
    _number("platelets", "Platelets", "10*3/uL", (1, 3000)),
    _number("paco2", "Arterial carbon dioxide", "mm[Hg]", (5, 200)),
    _number("pao2_fio2", "PaO2/FiO2", "mm[Hg]", (20, 800)),
    _number("bilirubin", "Total bilirubin", "mg/dL", (0.05, 80)),
    _number("creatinine", "Creatinine in serum", "mg/dL", (0.1, 40)),
    _number("urea", "Urea in serum (blood urea nitrogen in mg/dL x 0.357)", "mmol/L", (0.1, 150)),
    _number("sodium", "Sodium", "mmol/L", (90, 200)),
    _number("albumin", "Albumin in serum", "g/dL", (0.5, 7)),
    _number("inr", "International normalised ratio", "{INR}", (0.5, 20)),
    _number("ast", "Aspartate aminotransferase", "U/L", (1, 30000)),
    _number("alt", "Alanine aminotransferase", "U/L", (1, 30000)),
    _number("egfr", "Estimated glomerular filtration rate", "mL/min/{1.73_m2}", (1, 250), 90 * DAY),
    _number("uacr", "Urine albumin-creatinine ratio", "mg/g", (0.1, 25000), YEAR),
    _number("calcium", "Total calcium in serum", "mg/dL", (3, 20), 90 * DAY),
    _number("phosphate", "Phosphate in serum, as phosphorus", "mg/dL", (0.5, 20), 90 * DAY),
    _number("bicarbonate", "Bicarbonate in serum", "mmol/L", (3, 60), 90 * DAY),
    _number("total_cholesterol", "Total cholesterol", "mg/dL", (30, 900), YEAR),
    _number("hdl_cholesterol", "HDL cholesterol", "mg/dL", (5, 250), YEAR),
    _number("hba1c", "Haemoglobin A1c (NGSP)", "%", (3, 20), YEAR / 2),
    _number("fasting_glucose", "Fasting plasma glucose", "mg/dL", (10, 1500), YEAR / 2),
    _number("glucose_2h", "Plasma glucose 2 hours after 75 g glucose", "mg/dL", (10, 1500), YEAR / 2),
    _number("random_glucose", "Plasma glucose at any time", "mg/dL", (10, 2500), YEAR / 2),
)

_FINDINGS = (
    _finding("confusion", "New confusion"),
    _finding("respiratory_support", "Respiratory support (ventilation or CPAP)"),
    _code("ascites", "Ascites", "none mild moderate_severe", MONTH),
    _code("encephalopathy", "Hepatic encephalopathy", "none grade_1_2 grade_3_4", MONTH),
    _code("killip", "Killip class", "1 2 3 4"),
    _finding("cardiac_arrest", "Cardiac arrest at admission"),
    _finding("st_deviation", "ST-segment deviation"),
    _finding("elevated_troponin", "Elevated cardiac enzymes or markers"),
    _finding("hyperglycaemia_symptoms", "Classic symptoms of hyperglycaemia", MONTH),
    _finding("pe_most_likely", "Pulmonary embolism is the most likely diagnosis"),
    _finding("signs_of_dvt", "Clinical signs of deep vein thrombosis"),
    _finding("haemoptysis", "Haemoptysis", WEEK),
    _finding("immobilised_or_surgery", "Immobilised 3 days or surgery within 4 weeks"),
    _finding("alternative_to_dvt", "Another diagnosis is at least as likely as deep vein thrombosis"),
    _finding("paralysis_or_plaster", "Paralysis, paresis or plaster of a leg"),
    _finding("bedridden_or_major_surgery", "Bedridden 3 days or major surgery within 12 weeks"),
    _finding("tender_deep_veins", "Tenderness along the deep veins"),
    _finding("entire_leg_swollen", "Entire leg swollen"),
    _finding("calf_swelling", "Calf more than 3 cm thicker than the other"),
    _finding("pitting_oedema", "Pitting oedema in the symptomatic leg only"),
    _finding("collateral_veins", "Collateral superficial veins, not varicose"),
    _finding("agitation_or_confusion", "Agitation, confusion or unresponsiveness"),
    _finding("non_remitting_headache", "Non-remitting headache"),
    _finding("shortness_of_breath", "Shortness of breath"),
    _finding("chest_pain_or_dyspnoea", "Chest pain or dyspnoea"),
    _finding("headache_or_visual", "Headache or visual disturbance"),
    _finding("bleeding_with_pain", "Vaginal bleeding with abdominal pain"),
    _finding("disproportionate_pain", "Disproportionate pain"),
    _finding("nurse_concern", "Nurse is clinically uncomfortable with the patient's state"),
    _finding("acute_admission", "Acute (emergent) admission", WEEK),
    _code("dipstick", "Protein in urine by dipstick", "negative trace 1+ 2+ 3+ 4+"),
    _finding("nulliparous", "No earlier birth", FOR_EVER),
    _finding("parous", "One or more earlier births", FOR_EVER),
    _number("gestational_age", "Gestational age", "wk", (0, 45), WEEK),
    _number("stay", "Length of stay", "d", (0, 3650), FOR_EVER),
    _number("emergency_visits", "Emergency visits in the 6 months before admission", "{visits}", (0, 1000), FOR_EVER),
)

_TREATMENT = (
    _number("dopamine", "Dopamine", "ug/kg/min", (0, 60)),
    _number("dobutamine", "Dobutamine", "ug/kg/min", (0, 60)),
    _number("epinephrine", "Epinephrine", "ug/kg/min", (0, 10)),
    _number("norepinephrine", "Norepinephrine", "ug/kg/min", (0, 10)),
    _history("dialysis", "Dialysis twice in the last week, or 24 h of haemofiltration", WEEK),
    _history("bp_treated", "Treatment of high blood pressure", YEAR),
    _history("statin", "Statin", YEAR),
    _history("antiplatelet_or_nsaid", "Antiplatelet drug or NSAID", MONTH),
)

_HABITS = (
    Input("current_smoker", "Current smoker", kind="boolean", window=2 * YEAR),
    _finding("physically_active", "Active at least 30 minutes a day", YEAR),
    _finding("daily_vegetables", "Vegetables, fruit or berries every day", YEAR),
    _code("diabetes_in_family", "Diabetes in the family", "none second_degree first_degree", FOR_EVER),
    _history("high_glucose_before", "High blood glucose ever before"),
    _history("alcohol_excess", "Eight or more alcoholic drinks a week", YEAR),
)

_DIAGNOSES = tuple(
    _history(name, title)
    for name, title in (
        ("cardiovascular_disease", "Known cardiovascular disease"),
        ("heart_failure", "Heart failure"),
        ("hypertension", "Hypertension"),
        ("diabetes", "Diabetes mellitus"),
        ("stroke_tia_embolism", "Stroke, TIA or thromboembolism"),
        ("stroke", "Stroke"),
        ("vascular_disease", "Myocardial infarction, peripheral artery disease or aortic plaque"),
        ("abnormal_renal", "Dialysis, transplant or creatinine of 200 umol/L and more"),
        ("abnormal_liver", "Cirrhosis, or bilirubin twice and enzymes three times the upper limit"),
        ("bleeding_history", "Major bleeding or predisposition to it"),
        ("labile_inr", "Labile INR (under 60% of the time in range)"),
        ("previous_pe_or_dvt", "Earlier pulmonary embolism or deep vein thrombosis"),
        ("previous_dvt", "Earlier documented deep vein thrombosis"),
        ("active_cancer", "Cancer treated within 6 months or palliative"),
        ("atrial_fibrillation", "Atrial fibrillation"),
        ("myocardial_infarction", "Myocardial infarction"),
        ("peripheral_vascular_disease", "Peripheral vascular disease"),
        ("cerebrovascular_disease", "Cerebrovascular disease"),
        ("dementia", "Dementia"),
        ("chronic_pulmonary_disease", "Chronic pulmonary disease"),
        ("connective_tissue_disease", "Connective tissue disease"),
        ("peptic_ulcer", "Peptic ulcer disease"),
        ("mild_liver_disease", "Mild liver disease"),
        ("severe_liver_disease", "Moderate or severe liver disease"),
        ("diabetes_with_damage", "Diabetes with end-organ damage"),
        ("hemiplegia", "Hemiplegia"),
        ("renal_disease", "Moderate or severe renal disease"),
        ("solid_tumour", "Solid tumour without metastasis"),
        ("leukaemia", "Leukaemia"),
        ("lymphoma", "Lymphoma"),
        ("metastatic_tumour", "Metastatic solid tumour"),
        ("aids", "AIDS"),
        ("preeclampsia", "Pre-eclampsia now"),
        ("preeclampsia_before", "Pre-eclampsia in an earlier pregnancy"),
        ("multifetal", "Multifetal gestation"),
        ("chronic_hypertension", "Chronic hypertension"),
        ("pregestational_diabetes", "Diabetes type 1 or 2 before pregnancy"),
        ("autoimmune_disease", "Lupus or antiphospholipid syndrome"),
        ("preeclampsia_in_family", "Mother or sister had pre-eclampsia"),
        ("social_risk", "Black person (by racism, not biology) or low income"),
        ("adverse_pregnancy_before", "Earlier adverse outcome of pregnancy, or more than 10 years since the last"),
        ("in_vitro", "In vitro conception"),
    )
)

_DEPRESSION = tuple(_number(f"phq9_{n}", f"PHQ-9 item {n}", "{score}", (0, 3), 14 * DAY) for n in range(1, 10))
_ANXIETY = tuple(_number(f"gad7_{n}", f"GAD-7 item {n}", "{score}", (0, 3), 14 * DAY) for n in range(1, 8))

VOCABULARY = {
    each.name: each
    for group in (
        _PEOPLE,
        _VITALS,
        _LABORATORY,
        _FINDINGS,
        _TREATMENT,
        _HABITS,
        _DIAGNOSES,
        _DEPRESSION,
        _ANXIETY,
    )
    for each in group
}


def ask(names: str, *, within: float | None = None) -> tuple[Input, ...]:
    """The inputs of these names, needed by a score; `within` hours where the score says so."""
    return tuple(_narrowed(VOCABULARY[name], within) for name in names.split())


def may(names: str, *, within: float | None = None, default: Value | None = None) -> tuple[Input, ...]:
    """The inputs of these names, used by a score when they are there."""
    return tuple(replace(each, required=False, default=default) for each in ask(names, within=within))


def names(inputs: Iterable[Input]) -> tuple[str, ...]:
    """The names of inputs, in their order."""
    return tuple(each.name for each in inputs)


def _narrowed(wanted: Input, within: float | None) -> Input:
    return wanted if within is None or wanted.window == FOR_EVER else replace(wanted, window=within)
