"""Sentences to speak: grammar templates and word lists in several languages.

This file knows no sound. Meaning does not matter here, variety of sounds does: a language's
templates and lists give tens of thousands of sentences. The held-out tenth is decided by a hash of
the text itself, so no sentence can be in both splits, however often the lists are edited.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from soul.training.speech import Split

_HELD_OUT_SHARE = 10  # one sentence in ten


@dataclass(frozen=True)
class Grammar:
    """`templates` name lists in braces, as in "{who} {does} {what}."; `words` holds the lists."""

    templates: tuple[str, ...]
    words: dict[str, tuple[str, ...]]


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|"))


GRAMMARS: dict[str, Grammar] = {
    "en": Grammar(
        (
            "{who} {does} {what} {when}.",
            "{when}, {who} {does} {what}.",
            "{who} {does} {what}, and {who} {does} {what}.",
            "I think that {who} {does} {what}.",
            "Why would {who} ever be in {place}?",
            "Please, {ask} before {who} {does} {what}!",
            "{opening} {who} was in {place} {when}.",
            "{opening} {ask}.",
            "{number}, {number}, {number} and {number}.",
            "{opening} Maybe we should meet in {place} {when}, what do you think?",
        ),
        {
            "who": _words(
                "my mother|the old baker|a young pilot|Peter|Emma|our neighbour|the whole family"
                "|that famous painter|the boy with the blue balloon|nobody|everyone I know"
                "|the woman at the window|Doctor Thomas|a small brown bear|your best friend"
                "|the music teacher|Bob Palmer|the farmer|this robot|somebody from Boston"
            ),
            "does": _words(
                "buys|paints|remembers|forgets about|would love to see|always brings|moves"
                "|keeps talking about|has never found|might open|picks up|jumps over|believes in"
                "|throws away|listens to|watches|shows me|measures|is making|wants"
            ),
            "what": _words(
                "a warm apple pie|the purple umbrella|an enormous wooden boat|five fresh fish"
                "|the beautiful morning light|a bowl of tomato soup|some very good advice"
                "|the map of Bombay|those shiny yellow shoes|a piece of music|the wheel|my bicycle"
                "|a hundred and one paper planes|the judge's opinion|a cheap leather bag"
                "|every photograph of the valley|a huge white cloud|the rhythm of the waves"
            ),
            "when": _words(
                "this morning|before breakfast|in the middle of the night|on Monday|every summer"
                "|at about half past four|when it rains|for the first time|tomorrow|once a week"
                "|after the show|since the beginning of May|just for fun|all day long"
            ),
            "place": _words(
                "the village|Paris|an empty theatre|the garden|the back of the bus|a small museum"
                "|the mountains|my kitchen|the public library|Philadelphia|the harbour"
            ),
            "ask": _words(
                "tell me more about it|come in and sit down|could you say that again|wait for me"
                "|have a look at the map|give me a moment|help me move the piano|don't worry"
                "|let us talk about something else|imagine what might happen|bring a pen"
            ),
            "opening": _words(
                "Well,|Oh, how wonderful!|Hmm.|Hello!|Yes, of course.|No, not really.|Honestly,"
                "|Good morning.|You know what?|Believe me,|By the way,|Ah, I see.|Thank you.|Wow!"
            ),
            "number": _words(
                "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twenty|fifty|a hundred"
            ),
        },
    ),
    "de": Grammar(
        (
            "{wer} {tut} {was} {wann}.",
            "{wann} {tut} {wer} {was}.",
            "{auftakt} {wer} {tut} {was}.",
            "Ich glaube, {wer} ist {wo}.",
            "{auftakt} Warum war {wer} {wann} {wo}?",
            "{wer} {tut} {was}, aber {wer} {tut} {was}.",
        ),
        {
            "wer": _words(
                "meine Mutter|der alte Bäcker|Peter|Emma|unser Nachbar|die ganze Familie|niemand"
                "|das kleine Mädchen|ein berühmter Maler|der Bürgermeister|deine Freundin|man"
            ),
            "tut": _words(
                "kauft|malt|bringt|vergisst|findet|öffnet|sucht|liebt|braucht|beobachtet|bewegt"
                "|verschenkt|holt|verkauft|baut|hört"
            ),
            "was": _words(
                "einen warmen Apfelkuchen|den blauen Ballon|fünf frische Fische|das alte Boot"
                "|eine Menge Papier|die schöne Musik|ein großes Haus am Meer|den Brief aus Bremen"
                "|zwei grüne Bücher|eine Pampelmuse|das Frühstück|den höchsten Baum|viele Blumen"
            ),
            "wann": _words(
                "heute Morgen|vor dem Frühstück|am Montag|mitten in der Nacht|jeden Sommer|morgen"
                "|um halb vier|bei Regen|zum ersten Mal|nach der Arbeit|manchmal"
            ),
            "wo": _words(
                "im Garten|in Bamberg|auf dem Berg|am Bahnhof|im Museum|bei uns zu Hause|im Wald"
                "|auf der Bühne|hinter dem Fenster|in München"
            ),
            "auftakt": _words(
                "Also,|Guten Abend!|Ach so.|Ja, natürlich.|Nein, bestimmt nicht.|Hm.|Übrigens,"
                "|Wunderbar!|Stell dir vor,|Ehrlich gesagt:"
            ),
        },
    ),
    "fr": Grammar(
        (
            "{qui} {fait} {quoi} {quand}.",
            "{quand}, {qui} {fait} {quoi}.",
            "{debut} {qui} {fait} {quoi}.",
            "Je crois que {qui} est {ou}.",
            "{debut} Pourquoi {qui} était {ou} {quand}?",
            "{qui} {fait} {quoi}, mais {qui} {fait} {quoi}.",
        ),
        {
            "qui": _words(
                "ma mère|le vieux boulanger|Pierre|Emma|notre voisin|toute la famille|personne"
                "|la petite fille|un peintre célèbre|le maire du village|ta meilleure amie|on"
            ),
            "fait": _words(
                "achète|peint|apporte|oublie|trouve|ouvre|cherche|aime|regarde|prépare|montre"
                "|vend|écoute|fabrique|mange|voudrait"
            ),
            "quoi": _words(
                "une belle pomme|le ballon bleu|cinq poissons frais|un vieux bateau|du papier"
                "|la musique du bal|une grande maison près de la mer|la lettre de Bordeaux"
                "|deux livres verts|un parapluie|le petit déjeuner|beaucoup de fleurs|un pain"
            ),
            "quand": _words(
                "ce matin|avant le petit déjeuner|lundi|au milieu de la nuit|chaque été|demain"
                "|vers quatre heures|quand il pleut|pour la première fois|après le travail"
            ),
            "ou": _words(
                "dans le jardin|à Paris|en montagne|à la gare|au musée|chez nous|dans la forêt"
                "|sur la scène|derrière la fenêtre|au bord de l'eau"
            ),
            "debut": _words(
                "Eh bien,|Bonsoir!|Ah bon.|Oui, bien sûr.|Non, pas du tout.|Hum.|Au fait,"
                "|Formidable!|Figure-toi que|Franchement,"
            ),
        },
    ),
    "es": Grammar(
        (
            "{quien} {hace} {que} {cuando}.",
            "{cuando}, {quien} {hace} {que}.",
            "{inicio} {quien} {hace} {que}.",
            "Creo que {quien} está {donde}.",
            "{inicio} ¿Por qué estaba {quien} {donde} {cuando}?",
            "{quien} {hace} {que}, pero {quien} {hace} {que}.",
        ),
        {
            "quien": _words(
                "mi madre|el viejo panadero|Pedro|Emma|nuestro vecino|toda la familia|nadie"
                "|la niña pequeña|un pintor famoso|el alcalde|tu mejor amiga|el abuelo"
            ),
            "hace": _words(
                "compra|pinta|trae|olvida|encuentra|abre|busca|ama|mira|prepara|enseña|vende"
                "|escucha|construye|come|necesita"
            ),
            "que": _words(
                "una manzana roja|el globo azul|cinco peces frescos|un barco viejo|mucho papel"
                "|la música del baile|una casa grande cerca del mar|la carta de Bilbao"
                "|dos libros verdes|un paraguas|el desayuno|muchas flores|un pan caliente"
            ),
            "cuando": _words(
                "esta mañana|antes del desayuno|el lunes|en medio de la noche|cada verano|mañana"
                "|a las cuatro y media|cuando llueve|por primera vez|después del trabajo"
            ),
            "donde": _words(
                "en el jardín|en Pamplona|en la montaña|en la estación|en el museo|en el bosque"
                "|en el escenario|detrás de la ventana|a la orilla del río"
            ),
            "inicio": _words(
                "Bueno,|¡Buenas noches!|Ya veo.|Sí, por supuesto.|No, de ninguna manera.|Mmm."
                "|Por cierto,|¡Maravilloso!|Imagínate,|La verdad,"
            ),
        },
    ),
    "it": Grammar(
        (
            "{chi} {fa} {cosa} {quando}.",
            "{quando} {chi} {fa} {cosa}.",
            "{inizio} {chi} {fa} {cosa}.",
            "Penso che {chi} sia {dove}.",
            "{inizio} Perché {chi} era {dove} {quando}?",
            "{chi} {fa} {cosa}, ma {chi} {fa} {cosa}.",
        ),
        {
            "chi": _words(
                "mia madre|il vecchio fornaio|Pietro|Emma|il nostro vicino|tutta la famiglia"
                "|nessuno|la bambina|un pittore famoso|il sindaco|la tua amica|il nonno"
            ),
            "fa": _words(
                "compra|dipinge|porta|dimentica|trova|apre|cerca|ama|guarda|prepara|mostra|vende"
                "|ascolta|costruisce|mangia|vuole"
            ),
            "cosa": _words(
                "una mela rossa|il palloncino blu|cinque pesci freschi|una barca vecchia"
                "|la musica del ballo|una casa grande vicino al mare|la lettera di Bologna"
                "|due libri verdi|un ombrello|la colazione|molti fiori|il pane caldo"
            ),
            "quando": _words(
                "stamattina|prima di colazione|lunedì|nel mezzo della notte|ogni estate|domani"
                "|alle quattro e mezza|quando piove|per la prima volta|dopo il lavoro"
            ),
            "dove": _words(
                "in giardino|a Palermo|in montagna|alla stazione|al museo|nel bosco"
                "|sul palco|dietro la finestra|sulla riva del fiume"
            ),
            "inizio": _words(
                "Allora,|Buonasera!|Ho capito.|Sì, certo.|No, assolutamente.|Mmm.|A proposito,"
                "|Meraviglioso!|Immagina,|Sinceramente,"
            ),
        },
    ),
    "pt": Grammar(
        (
            "{quem} {faz} {que} {quando}.",
            "{quando}, {quem} {faz} {que}.",
            "{inicio} {quem} {faz} {que}.",
            "Acho que {quem} está {onde}.",
        ),
        {
            "quem": _words(
                "a minha mãe|o velho padeiro|Pedro|Ema|o nosso vizinho|toda a família|ninguém"
                "|a menina|um pintor famoso|o avô"
            ),
            "faz": _words(
                "compra|pinta|traz|esquece|encontra|abre|procura|ama|prepara|mostra|vende|ouve"
            ),
            "que": _words(
                "uma maçã vermelha|o balão azul|cinco peixes frescos|um barco velho|muito papel"
                "|a música do baile|uma casa grande perto do mar|dois livros verdes|o pão quente"
            ),
            "quando": _words(
                "esta manhã|na segunda-feira|no meio da noite|todos os verões|amanhã"
                "|às quatro e meia|quando chove|pela primeira vez|depois do trabalho"
            ),
            "onde": _words(
                "no jardim|em Lisboa|na montanha|na estação|no museu|na floresta|no palco"
            ),
            "inicio": _words("Bem,|Boa noite!|Sim, claro.|Não, nunca.|A propósito,|Imagina,"),
        },
    ),
    "nl": Grammar(
        (
            "{wie} {doet} {wat} {wanneer}.",
            "{wanneer} {doet} {wie} {wat}.",
            "{begin} {wie} {doet} {wat}.",
            "Ik denk dat {wie} {waar} is.",
            "{wie} {doet} {wat}, maar {wie} {doet} {wat}.",
        ),
        {
            "wie": _words(
                "mijn moeder|de oude bakker|Pieter|Emma|onze buurman|de hele familie|niemand"
                "|het kleine meisje|een beroemde schilder|de burgemeester|je beste vriendin"
            ),
            "doet": _words(
                "koopt|schildert|brengt|vergeet|vindt|opent|zoekt|bekijkt|maakt|verkoopt|bouwt"
                "|hoort|proeft|bewaart"
            ),
            "wat": _words(
                "een warme appeltaart|de blauwe ballon|vijf verse vissen|de oude boot|veel papier"
                "|de mooie muziek|een groot huis aan zee|de brief uit Breda|twee groene boeken"
                "|het ontbijt|de hoogste boom|een bos bloemen"
            ),
            "wanneer": _words(
                "vanmorgen|voor het ontbijt|op maandag|midden in de nacht|elke zomer|morgen"
                "|om half vier|bij regen|voor het eerst|na het werk"
            ),
            "waar": _words(
                "in de tuin|in Amsterdam|op de berg|op het station|in het museum|in het bos"
                "|op het podium|achter het raam"
            ),
            "begin": _words(
                "Nou,|Goedenavond!|Ach zo.|Ja, natuurlijk.|Nee, helemaal niet.|Trouwens,|Prachtig!"
            ),
        },
    ),
    "pl": Grammar(
        (
            "{kto} {robi} {co} {kiedy}.",
            "{kiedy} {kto} {robi} {co}.",
            "{wstep} {kto} {robi} {co}.",
            "Myślę, że {kto} jest {gdzie}.",
            "{kto} {robi} {co}, ale {kto} {robi} {co}.",
        ),
        {
            "kto": _words(
                "moja mama|stary piekarz|Piotr|Emma|nasz sąsiad|cała rodzina|mała dziewczynka"
                "|sławny malarz|burmistrz|twoja przyjaciółka|babcia"
            ),
            "robi": _words(
                "kupuje|maluje|przynosi|pamięta|otwiera|kocha|ogląda|robi|pokazuje|sprzedaje"
                "|buduje|bada"
            ),
            "co": _words(
                "czerwone jabłko|niebieski balon|pięć ryb|stary statek|dużo papieru|muzykę"
                "|wielki dom nad morzem|list z Poznania|dwie zielone książki|śniadanie|chleb"
            ),
            "kiedy": _words(
                "dzisiaj rano|przed śniadaniem|w poniedziałek|w środku nocy|każdego lata|jutro"
                "|o wpół do czwartej|po pracy|pierwszy raz"
            ),
            "gdzie": _words(
                "w ogrodzie|w Warszawie|w górach|na dworcu|w muzeum|w lesie|na scenie|za oknem"
            ),
            "wstep": _words("No więc,|Dobry wieczór!|Aha.|Tak, oczywiście.|Nie, nigdy.|Wspaniale!"),
        },
    ),
    "sv": Grammar(
        (
            "{vem} {gor} {vad} {nar}.",
            "{nar} {gor} {vem} {vad}.",
            "{start} {vem} {gor} {vad}.",
            "Jag tror att {vem} är {var}.",
        ),
        {
            "vem": _words(
                "min mamma|den gamla bagaren|Peter|Emma|vår granne|hela familjen|ingen"
                "|den lilla flickan|en berömd målare|borgmästaren|din bästa vän"
            ),
            "gor": _words(
                "köper|målar|glömmer|hittar|öppnar|söker|älskar|behöver|visar|säljer|bygger|hör"
            ),
            "vad": _words(
                "en varm äppelpaj|den blå ballongen|fem färska fiskar|den gamla båten|mycket papper"
                "|den vackra musiken|ett stort hus vid havet|brevet från Malmö|två gröna böcker"
            ),
            "nar": _words(
                "i morse|före frukosten|på måndag|mitt i natten|varje sommar|i morgon"
                "|klockan halv fyra|när det regnar|efter jobbet"
            ),
            "var": _words(
                "i trädgården|i Göteborg|på berget|på stationen|på museet|i skogen|på scenen"
            ),
            "start": _words("Jo,|God kväll!|Jaha.|Ja, naturligtvis.|Nej, inte alls.|Underbart!"),
        },
    ),
}


def split_of(sentence: str) -> Split:
    """Which split a sentence belongs to, by a hash of its text."""
    return "held_out" if zlib.crc32(sentence.encode()) % _HELD_OUT_SHARE == 0 else "train"


def draw_sentence(rng: np.random.Generator, language: str, split: Split) -> str:
    """A sentence of `language` from `split`. Raises ValueError for another language."""
    if language not in GRAMMARS:
        raise ValueError(f"no grammar for language {language!r}, expected {sorted(GRAMMARS)}")
    while True:
        sentence = _fill(rng, GRAMMARS[language])
        if split_of(sentence) == split:
            return sentence


def _fill(rng: np.random.Generator, grammar: Grammar) -> str:
    text = grammar.templates[rng.integers(len(grammar.templates))]
    while "{" in text:
        start, end = text.index("{"), text.index("}")
        words = grammar.words[text[start + 1 : end]]
        text = text[:start] + words[rng.integers(len(words))] + text[end + 1 :]
    return text[:1].upper() + text[1:]
