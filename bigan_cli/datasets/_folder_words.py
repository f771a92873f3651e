"""Words in the names of folders, in English and in other languages."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Role(Enum):
    """The role of a folder by its name."""

    NORMAL = "normal"
    ANOMALOUS = "anomalous"
    MASKS = "masks"
    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# One of these words suffices, with any others: "bad parts", "crack_07".
ANY_WORD: Mapping[Role, frozenset[str]] = {
    Role.MASKS: _words("mask masks groundtruth gt gts segmentation segmentations"),
    Role.ANOMALOUS: _words(
        "bad defect defects defective abnormal abnormality abnormalities anomalous anomaly "
        "anomalies ng nok nio ko faulty fault faults flaw flaws flawed damage damages damaged "
        "broken reject rejects rejected fail failed failure failures scrap crack cracks cracked "
        "scratch scratches scratched outlier outliers contamination contaminated corrosion "
        "corroded rust rusty deformed def positive unhealthy diseased incorrect invalid"
    ),
    Role.NORMAL: _words(
        "good normal normals ok okay clean nodefect nodefects defectfree nondefective undamaged "
        "uncracked unbroken flawless faultless intact healthy inlier inliers io nonanomalous "
        "pass passed acceptable accepted goods"
    ),
}
# The words that count in names of files, where "broken" may well mean the file.
IN_FILE_NAMES = _words(
    "bad defect defects defective def abnormal anomalous anomaly anomalies ng nok nio ko faulty "
    "scratch scratches scratched crack cracks cracked mask masks gt groundtruth"
)
# These count only if all words of the name are known: "test_set", but not "test_tube".
# Accents are removed.
WHOLE_NAME: Mapping[Role, frozenset[str]] = {
    Role.MASKS: _words(
        "label labels annotation annotations seg segs maske masken masque masques mascara "
        "mascaras maschera maschere maska maski маска маски"
    ),
    Role.ANOMALOUS: _words(
        "hole holes dent dents bent cut cuts missing spot spots stain stains chip chipped worn "
        "burn burnt poke error errors nonconforming nonconformity irregular unusual "
        # German
        "schlecht schlechte fehler fehlerhaft fehlerhafte defekt defekte ausschuss kratzer riss "
        "risse beschadigt beschadigte schaden mangel mangelhaft anomalie anomalien "
        "nichtinordnung "
        # French, Spanish, Italian, Portuguese
        "defaut defauts defectueux defectueuse defectueuses mauvais mauvaise mauvaises rebut "
        "rebuts rayure rayures fissure fissures "
        "malo malos mala malas defecto defectos defectuoso defectuosos defectuosa defectuosas "
        "rechazado rechazados grieta grietas anomalia anomalias "
        "difetto difetti difettoso difettosi difettosa difettose scarto scarti graffio graffi "
        "ruim ruins defeito defeitos defeituoso defeituosos rejeitado rejeitados "
        # Dutch, Polish, Czech, Turkish, Russian
        "slecht slechte afgekeurd wada wady wadliwe wadliwy zle vadne vadny vada vady hatali "
        "kusurlu kusur bozuk брак дефект дефекты дефектные аномалия аномалии плохие плохой"
    ),
    Role.NORMAL: _words(
        "fine perfect correct valid standard reference regular usual conforming "
        "gut gute guten fehlerfrei fehlerfreie defektfrei einwandfrei einwandfreie inordnung "
        "bon bons bonne bonnes conforme conformes bueno buenos buena buenas "
        "buono buoni buona buone bom boas goed goede dobre dobry iyi saglam "
        "годные годен норма нормальные хорошие хороший"
    ),
    Role.TRAIN: _words(
        "train training trn trainings entrainement apprentissage entrenamiento treino "
        "addestramento обучение"
    ),
    Role.VALIDATION: _words("val valid validation dev eval evaluation holdout"),
    Role.TEST: _words("test testing tst tests prueba pruebas teste тест"),
}
# Parts of names in scripts without spaces; the longest one decides: 不合格, not 合格.
PARTS: Mapping[Role, frozenset[str]] = {
    Role.MASKS: _words("マスク 掩码 掩膜 遮罩 真值 마스크"),
    Role.ANOMALOUS: _words(
        "不良 不合格 異常 欠陥 瑕疵 傷 キズ きず 汚れ 割れ 欠け 破損 "
        "异常 缺陷 次品 废品 坏 划痕 裂纹 损坏 破损 污染 "
        "불량 결함 비정상 이상 불합격 손상"
    ),
    Role.NORMAL: _words(
        "良品 正常 合格 良好 異常なし 異常無し 欠陥なし 欠陥無し 無欠陥 キズなし 傷なし "
        "无缺陷 無缺陷 无异常 無異常 无瑕疵 無瑕疵 未损坏 양품 정상 합격 이상없음 결함없음 무결함"
    ),
    Role.TRAIN: _words("訓練 学習 训练 訓練 훈련 학습"),
    Role.VALIDATION: _words("検証 验证 驗證 검증"),
    Role.TEST: _words("テスト 测试 測試 테스트"),
}
NEUTRAL = _words(
    "with avec mit con com "
    "dir dirs folder image images img imgs picture pictures pic pics photo photos data dataset "
    "set sample samples part parts item items product products front back left right top bottom "
    "side class only all bild bilder teil teile imagenes immagini imagens"
)
NEGATIONS = _words(
    "no non not without un ohne nicht kein keine sans sin senza sem bez nie geen niet без не"
)
# A word and its opposite, which have a meaning only beside each other.
OPPOSITES = (
    *(
        ("yes", "no"),
        ("true", "false"),
        ("0", "1"),
        ("y", "n"),
        ("pos", "neg"),
        ("with", "without"),
    ),
    *(("ja", "nein"), ("oui", "non"), ("si", "no"), ("да", "нет"), ("free", "")),
    *(("mit", "ohne"), ("avec", "sans"), ("con", "sin"), ("con", "senza"), ("com", "sem")),
    *(("有", "无"), ("有", "無"), ("あり", "なし"), ("是", "否"), ("好", "坏")),
)
OPPOSITE_PREFIXES = (
    "no",
    "non",
    "not",
    "un",
    "in",
    "im",
    "ir",
    "dis",
    "nicht",
    *"不非未无無비",
    "не",
)
