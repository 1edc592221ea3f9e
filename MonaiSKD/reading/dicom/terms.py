"""Words of DICOM headers: what each stands for here. Tables alone."""

from __future__ import annotations


def _terms(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# Body Part Examined: the defined terms of PS3.16 annex L, and what else writers make of them.
BODY_PARTS = _terms("""
    ABDOMEN ABDOMENPELVIS ADRENAL ANKLE ANUS AORTA ARM AXILLA BACK BLADDER BRAIN BREAST BRONCHUS BUTTOCK CALCANEUS
    CALF CAROTID CEREBELLUM CEREBRUM CERVIX CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS CHOROIDPLEXUS CIRCLEOFWILLIS
    CLAVICLE COCCYX COLON CORNEA CORONARYARTERY CSPINE CTSPINE DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY EYE EYELID FACE
    FEMUR FINGER FOOT FOREARM GALLBLADDER HAND HEAD HEADNECK HEART HIP HUMERUS IAC ILEUM ILIUM JAW JEJUNUM JOINT
    KIDNEY KNEE LARYNX LEG LIVER LSPINE LSSPINE LUNG MANDIBLE MAXILLA MEDIASTINUM MOUTH NECK NECKCHEST
    NECKCHESTABDOMEN NECKCHESTABDPELV NOSE ORBIT OVARY PANCREAS PAROTID PATELLA PELVIS PELVISLOWEXTREMT PENIS PHARYNX
    PITUITARY PROSTATE RADIUS RADIUSULNA RECTUM RIB SACRUM SCALP SCAPULA SCLERA SCROTUM SHOULDER SIJOINT SINUS SKULL
    SPINE SPLEEN SSPINE STERNUM STOMACH SUBMANDIBULAR TEETH TESTIS THIGH THORAX THUMB THYMUS THYROID TIBIA TIBIAFIBULA
    TLSPINE TMJ TOE TONGUE TOOTH TRACHEA TRUNK TSPINE TSSPINE ULNA URETER URETHRA UTERUS VAGINA VULVA WHOLEBODY WRIST
    ZYGOMA
    """)
_THORAX = _terms(
    "CHEST THORAX LUNG LUNGS RIB RIBS HEART MEDIASTINUM BRONCHUS TRACHEA CHESTABDOMEN CHESTABDPELVIS NECKCHEST"
)
ACCEPTED_PARTS = {
    "chest_xray": _THORAX,
    "lung_ct": _THORAX | _terms("AORTA CORONARYARTERY TRUNK NECKCHESTABDOMEN NECKCHESTABDPELV WHOLEBODY ESOPHAGUS"),
    "brain_mri": _terms("HEAD BRAIN SKULL HEADNECK CEREBELLUM CEREBRUM CHOROIDPLEXUS CIRCLEOFWILLIS IAC PITUITARY"),
}

# Modality (PS3.3 C.7.3.1.1.1): what is the rule's, and what is taken with a warning. RG is a scanned film.
MODALITIES = {"chest_xray": ("CR", "DX", "RG"), "lung_ct": ("CT",), "brain_mri": ("MR",)}
DOUBTFUL_MODALITIES = {"chest_xray": ("OT", "SC", "DR"), "lung_ct": (), "brain_mri": ()}

# What a file that states no modality was stored as, by the start of its SOP class (PS3.4 annex B); longest first.
SOP_CLASS_MODALITIES = {
    "1.2.840.10008.5.1.4.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.2": "MG",
    "1.2.840.10008.5.1.4.1.1.1.3": "IO",
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.3.1": "US",
    "1.2.840.10008.5.1.4.1.1.6": "US",
    "1.2.840.10008.5.1.4.1.1.20": "NM",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
}

# Images before the processing that makes them fit to be looked at (PS3.3 C.8.11.1): DX, mammography, intra-oral.
FOR_PROCESSING = _terms("1.2.840.10008.5.1.4.1.1.1.1.1 1.2.840.10008.5.1.4.1.1.1.2.1 1.2.840.10008.5.1.4.1.1.1.3.1")

# View Position (PS3.3 C.8.1.1 and C.8.11.5): what no frontal view of an upright patient is.
VIEWS = {
    **dict.fromkeys(("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LEFTLATERAL", "RIGHTLATERAL"), "a lateral view"),
    **dict.fromkeys(("LLD", "RLD", "DECUBITUS"), "a decubitus view"),
    **dict.fromkeys(("LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "OBLIQUE"), "an oblique view"),
}
FRONTAL_WORDS = frozenset(("PA", "AP", "FRONTAL", "POSTEROANTERIOR", "ANTEROPOSTERIOR"))
# Words of a free text, which may name several views of a study: they count only where none of the above stands.
VIEW_WORDS = {"LATERAL": "a lateral view", "LAT": "a lateral view", "OBLIQUE": "an oblique view"}

ANIMAL_WORDS = _terms("ANIMAL BOVINE CANINE EQUINE FELINE MURINE OVINE PORCINE RODENT VETERINARY VETERINARIAN")
HUMAN_CODES = frozenset(("337915000", "L-85B00"))  # SNOMED CT and SRT: homo sapiens
