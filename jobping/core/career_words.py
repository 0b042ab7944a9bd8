"""Which words tell which career level, as data: one language after the other, whole words only."""

from collections.abc import Iterable
from typing import Final

import attrs

from jobping.core.profile import Level
from jobping.core.words import Phrases, phrases, tokens

Levels = frozenset[Level]
_NONE: Final[Levels] = frozenset()


@attrs.frozen(kw_only=True)
class CareerWords:
    """Which words tell which level. All phrases are folded, as `words.tokens` gives them.

    Attributes:
        title: For titles, tags and the source's own fields. The longest phrase wins and uses up
            its words; a phrase without levels is an exception (`lead generation`).
        field: The same for the source's own field for seniority, where more words have a meaning.
        text: Phrases of the text that tell of a beginner's post.
        weak: Words that suggest a beginner's post and never decide alone.
    """

    title: dict[str, Levels]
    field: dict[str, Levels]
    text: Phrases
    weak: frozenset[str]


def _parted(phrases: str) -> list[str]:
    return [phrase.strip() for phrase in phrases.split(",")]


def _phrase_levels(**lists: str) -> dict[str, Levels]:
    """Read lists of phrases parted by commas; the keyword names the levels, `none` no level."""
    table: dict[str, Levels] = {}
    for name, listed in lists.items():
        levels = frozenset(Level(part) for part in name.split("_") if part != "none")
        table.update({" ".join(tokens(phrase)): levels for phrase in _parted(listed)})
    return table


_TITLE: Final = _phrase_levels(
    intern="""intern, interns, internship, internships, working student, working students,
            student assistant, student job, student worker, student, students, placement student,
            industrial placement, year in industry, summer analyst, summer associate, co-op,
            Praktikum, Praktika, Praktikant, Praktikantin, Praktikanten, Praktikumsplatz,
            Praktikumsstelle, Pflichtpraktikum, Praxissemester, Werkstudent, Werkstudentin,
            Werkstudenten, Werkstudierende, Werkstudierender, Werkstudententätigkeit,
            Werkstudentenjob, Studentenjob, studentische Hilfskraft, Studentische Aushilfe,
            studentische Mitarbeiter, Diplomand, Abschlussarbeit, Bachelorarbeit, Masterarbeit,
            Masterand, stage, stages, stagiaire, stagiaires, stagiair, stagiaires, afstudeerstage,
            meewerkstage, becario, becaria, becarios, beca, prácticas, practicante, tirocinio,
            tirocinante, stagista, estágio, estagiário, estagiária, praktykant, praktykantka,
            praktyki, staż, stażysta, stażystka, praktik, praktikplads, studentermedhjælper,
            studiejob, harjoittelija, gyakornok, stáž, stážista""",
    entry="""entry level, entry-level, entry, graduate, graduates, new grad, new grads,
            new graduate, recent graduate, university graduate, graduate program,
            graduate programme, graduate scheme, junior, jr, jnr, early career, early careers,
            early professional, career starter, starter, apprentice, apprentices, apprenticeship,
            apprenticeships, Absolvent, Absolventin, Absolventen, Hochschulabsolvent,
            Berufseinsteiger, Berufseinsteigerin, Berufseinstieg, Berufsanfänger, Einsteiger,
            Direkteinstieg, Nachwuchskraft, Azubi, Azubis, Auszubildende, Auszubildender,
            Ausbildung, duales Studium, dualer Student, Volontär, Volontärin, Volontariat,
            jeune diplômé, jeunes diplômés, débutant, débutante, alternance, alternant, alternante,
            apprenti, apprentie, apprentissage, contrat de professionnalisation, V.I.E,
            recién graduado, recién titulado, sin experiencia, neolaureato, neolaureata,
            neolaureati, apprendistato, apprendista, starterfunctie, leerling, instapfunctie,
            recém-formado, absolwent, młodszy, nyexaminerad, nyuddannet, elev, lærling,
            vastavalmistunut, pályakezdő, no experience""",
    intern_entry="""trainee, trainees, traineeship, traineeships, trainee program,
            trainee programme, Traineeprogramm, first job""",
    mid="""mid level, mid-level, midlevel, mid, mid-career, midweight, intermediate,
            confirmé, confirmée""",
    mid_senior="""mid-senior, mid-senior level, mid to senior, mid senior level,
            berufserfahren""",
    senior="""senior, seniors, sr, snr, principal, staff engineer, staff software,
            staff developer, staff data, staff product, staff scientist, staff designer,
            staff machine, staff backend, staff frontend, staff site, staff security,
            staff platform, expert, experienced, erfahrener, erfahrene, erfahren, expérimenté,
            expérimentée, starszy, sénior, distinguished engineer""",
    lead="""lead, leads, team lead, teamlead, team leader, team manager, tech lead, head,
            head of, director, directors, directeur, directrice, director general, direktor,
            direktorin, vp, svp, evp, avp, vice president, president, chief, chief of staff, ceo,
            cfo, cto, coo, cmo, cpo, ciso, cro, general manager, managing director, country manager,
            engineering manager, managing partner, partner principal, executive director,
            Leiter, Leiterin, Leitung, Teamleiter, Teamleiterin, Teamleitung, Abteilungsleiter,
            Abteilungsleitung, Bereichsleiter, Gruppenleiter, Filialleiter, Geschäftsführer,
            Geschäftsführerin, Geschäftsleitung, responsable d'équipe, jefe, jefa, jefe de equipo,
            direttore, direttrice, responsabile, diretor, diretora, teamleider, afdelingshoofd,
            kierownik, dyrektor""",
    none="""lead generation, lead gen, lead qualification, lead nurturing, lead management,
            leads generation, early stage, early-stage, late stage, late-stage, growth stage,
            growth-stage, seed stage, seed-stage, stage manager, stage designer, stage technician,
            stage hand, stage crew, multi stage, multi-stage, first stage, back stage,
            student success, student support, student services, student recruitment,
            student experience, student affairs, student advisor, student adviser, student loans,
            student loan, student finance, student housing, student engagement, student community,
            student coordinator, student marketing, student partnerships, student outreach,
            international students, graduate recruiter, graduate recruitment, graduate recruiting,
            graduate school, graduate talent, graduate admissions, intern recruiter,
            internship coordinator, early careers recruiter, early career recruiter,
            early careers recruitment, early talent recruiter, entry team, data entry,
            order entry, market entry, new entry, forced entry, assistant to the director,
            assistant to director, assistant to the ceo, assistant to ceo, assistant to the head,
            assistant to the cto, assistant to the managing director, executive assistant to,
            assistant director, executive assistant, assistenz der geschäftsführung,
            assistenz der geschäftsleitung, assistant de direction, assistante de direction,
            art director, creative head, expert network, president's club, head office,
            head chef, beca school, mid market, mid-market, midmarket, mid cap, mid size,
            mid-size, mid sized, mid-sized""",
)

_FIELD: Final = _TITLE | _phrase_levels(
    intern="internship, praktikum, student school, student college, werkstudent",
    entry="associate junior, trainee, graduate, beginner, no experience, less than 1 year",
    entry_mid="associate, assistant, young professional, young professionals",
    mid="professional, regular, mid weight, medium, middle, fachkraft",
    mid_senior="experienced, experienced non manager, professional experienced, berufserfahren",
    lead="executive, manager, management, manager supervisor, supervisor, c-level, leadership, "
    "fuehrungskraft, führungskraft, senior executive",
    none="not applicable, any, all, all levels",
)

WORDS: Final = CareerWords(
    title=_TITLE,
    field=_FIELD,
    text=phrases(
        _parted(
            """0-1 year, 0-1 years, 0 to 1 years, 0-2 years, 0 to 2 years, 0-3 years,
        1-2 years, 1 to 2 years, 0-2 jahre, 1-2 jahre, 0-2 ans, 0-2 años, 0-2 anni,
        no experience required, no prior experience, no previous experience, no experience needed,
        no experience necessary, recent graduate, recent graduates, recently graduated,
        fresh graduate, new graduates, entry-level, entry level position, early-career,
        first job, career starter, career starters, keine berufserfahrung,
        erste berufserfahrung, berufseinsteiger, berufseinsteigerin, berufseinstieg,
        absolventen, currently enrolled, currently studying, enrolled student, immatrikuliert,
        eingeschrieben, première expérience, jeune diplômé, jeunes diplômés, débutant accepté,
        débutants acceptés, sin experiencia previa, primera experiencia, recién graduado,
        prima esperienza, neolaureati, pas afgestudeerd"""
        )
    ),
    weak=frozenset(
        _parted(
            "associate,assistant,assistent,assistentin,assistenz,aushilfe,bachelor,bachelors,"
            "helper,representative,coordinator"
        )
    ),
)
"""English, German, French, Spanish, Italian, Dutch, Portuguese, Polish, Danish, Swedish, Finnish,
Hungarian and Czech (design/sources.md, section 9, with the variants that job titles show)."""


def with_more(
    *, intern: Iterable[str] = (), entry: Iterable[str] = (), none: Iterable[str] = ()
) -> CareerWords:
    """Return the words with further ones for titles, tags and fields; they win over the known.

    Args:
        none: Words and phrases that tell no level.
    """
    levels = {frozenset({Level.INTERN}): intern, frozenset({Level.ENTRY}): entry, _NONE: none}
    more = {
        " ".join(tokens(phrase)): level for level, listed in levels.items() for phrase in listed
    }
    more.pop("", None)
    return attrs.evolve(WORDS, title=WORDS.title | more, field=WORDS.field | more)
