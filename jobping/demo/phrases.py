"""The words of the invented postings: places, titles and sentences in six languages."""

from collections.abc import Mapping
from typing import Final

import attrs


@attrs.frozen
class City:
    """A place; `local` is its name on the spot."""

    name: str
    local: str
    region: str
    country: str
    code: str
    language: str
    currency: str = "EUR"


@attrs.frozen
class Role:
    """A title as one language writes it, its department, and how far on in a career it is."""

    title: str
    department: str
    level: str
    employment: str
    language: str


@attrs.frozen(kw_only=True)
class Phrases:
    """Sentences of one language; `{company}`, `{title}`, `{city}` and `{team}` are filled in."""

    openings: tuple[str, ...]
    duties: tuple[str, ...]
    wishes: Mapping[str, str]
    offers: tuple[str, ...]


EMPLOYMENT: Final = ("full", "part", "student", "intern")

CITIES: Final = {
    city.name: city
    for city in (
        City("Berlin", "Berlin", "Berlin", "Germany", "DE", "de"),
        City("Munich", "München", "Bavaria", "Germany", "DE", "de"),
        City("Hamburg", "Hamburg", "Hamburg", "Germany", "DE", "de"),
        City("Vienna", "Wien", "Vienna", "Austria", "AT", "de"),
        City("Zurich", "Zürich", "Zurich", "Switzerland", "CH", "de", "CHF"),
        City("London", "London", "England", "United Kingdom", "GB", "en", "GBP"),
        City("Manchester", "Manchester", "England", "United Kingdom", "GB", "en", "GBP"),
        City("Dublin", "Dublin", "Leinster", "Ireland", "IE", "en"),
        City("Amsterdam", "Amsterdam", "North Holland", "Netherlands", "NL", "nl"),
        City("Rotterdam", "Rotterdam", "South Holland", "Netherlands", "NL", "nl"),
        City("Paris", "Paris", "Île-de-France", "France", "FR", "fr"),
        City("Lyon", "Lyon", "Auvergne-Rhône-Alpes", "France", "FR", "fr"),
        City("Madrid", "Madrid", "Madrid", "Spain", "ES", "es"),
        City("Barcelona", "Barcelona", "Catalonia", "Spain", "ES", "es"),
        City("Milan", "Milano", "Lombardy", "Italy", "IT", "it"),
        City("Stockholm", "Stockholm", "Stockholm", "Sweden", "SE", "en", "SEK"),
        City("Copenhagen", "København", "Hovedstaden", "Denmark", "DK", "en", "DKK"),
        City("Warsaw", "Warszawa", "Masovia", "Poland", "PL", "en", "PLN"),
        City("Lisbon", "Lisboa", "Lisbon", "Portugal", "PT", "en"),
    )
}

ROLES: Final = (
    Role("Graduate Software Engineer", "Engineering", "entry", "full", "en"),
    Role("Junior Data Analyst", "Data", "entry", "full", "en"),
    Role("Backend Engineer", "Engineering", "mid", "full", "en"),
    Role("Senior Frontend Engineer", "Engineering", "senior", "full", "en"),
    Role("Marketing Intern", "Marketing", "intern", "intern", "en"),
    Role("Finance Trainee", "Finance", "entry", "full", "en"),
    Role("Sales Development Representative", "Sales", "entry", "full", "en"),
    Role("Associate Product Manager", "Product", "entry", "full", "en"),
    Role("Customer Success Associate", "Customer Success", "entry", "full", "en"),
    Role("Operations Analyst", "Operations", "entry", "full", "en"),
    Role("Head of Talent", "People", "lead", "full", "en"),
    Role("Senior Data Engineer", "Data", "senior", "full", "en"),
    Role("Part-time Office Coordinator", "Operations", "mid", "part", "en"),
    Role("Werkstudent Datenanalyse (m/w/d)", "Data", "intern", "student", "de"),
    Role("Junior Softwareentwickler (m/w/d)", "Engineering", "entry", "full", "de"),
    Role("Praktikum Marketing (m/w/d)", "Marketing", "intern", "intern", "de"),
    Role("Trainee Vertrieb (m/w/d)", "Sales", "entry", "full", "de"),
    Role("Controller (m/w/d)", "Finance", "mid", "full", "de"),
    Role("Teamleitung Kundenservice (m/w/d)", "Customer Success", "lead", "full", "de"),
    Role("Développeur junior (H/F)", "Engineering", "entry", "full", "fr"),
    Role("Stage Marketing digital (H/F)", "Marketing", "intern", "intern", "fr"),
    Role("Alternance Analyste de données (H/F)", "Data", "intern", "student", "fr"),
    Role("Responsable grands comptes (H/F)", "Sales", "senior", "full", "fr"),
    Role("Becario de Finanzas", "Finance", "intern", "intern", "es"),
    Role("Desarrollador Backend Junior", "Engineering", "entry", "full", "es"),
    Role("Jefe de Operaciones", "Operations", "lead", "full", "es"),
    Role("Stagista Risorse Umane", "People", "intern", "intern", "it"),
    Role("Analista Dati Junior", "Data", "entry", "full", "it"),
    Role("Responsabile Vendite", "Sales", "senior", "full", "it"),
    Role("Stagiair Communicatie", "Marketing", "intern", "intern", "nl"),
    Role("Junior Inkoper", "Operations", "entry", "full", "nl"),
    Role("Senior Accountmanager", "Sales", "senior", "full", "nl"),
)

PHRASES: Final = {
    "en": Phrases(
        openings=(
            "{company} is growing its {team} team in {city} and is looking for you: {title}.",
            "Help us build what our customers use every day. Open at {company} in {city}: {title}.",
        ),
        duties=(
            "Own small projects from the first idea to the result",
            "Work closely with colleagues in your team and beyond",
            "Prepare numbers and reports that people can act on",
            "Improve how we work, one step each week",
            "Talk to customers and bring back what you learn",
            "Write things down so that others can build on them",
        ),
        wishes={
            "intern": "You are a student and can join us for at least three months.",
            "entry": "You have just graduated or bring up to one year of experience.",
            "mid": "You bring two to four years of experience in a similar role.",
            "senior": "You bring at least five years of experience and like to teach.",
            "lead": "You have led a team before and know how to hire one.",
        },
        offers=(
            "We offer 28 days of holiday, flexible hours and a budget for learning.",
            "You get a mentor, a yearly pay review and time for your own ideas.",
        ),
    ),
    "de": Phrases(
        openings=(
            "{company} sucht für das Team {team} in {city} Verstärkung: {title}.",
            "Für unseren Standort {city} suchen wir ab sofort: {title}.",
        ),
        duties=(
            "Du übernimmst eigene kleine Projekte von der Idee bis zum Ergebnis",
            "Du arbeitest eng mit den Kolleginnen und Kollegen zusammen",
            "Du bereitest Zahlen so auf, dass man damit entscheiden kann",
            "Du verbesserst unsere Abläufe Schritt für Schritt",
            "Du sprichst mit Kunden und bringst ihre Wünsche mit",
        ),
        wishes={
            "intern": "Du bist eingeschrieben und hast mindestens drei Monate Zeit.",
            "entry": "Du hast gerade deinen Abschluss gemacht oder erste Berufserfahrung.",
            "mid": "Du bringst zwei bis vier Jahre Berufserfahrung mit.",
            "senior": "Du bringst mindestens fünf Jahre Berufserfahrung mit.",
            "lead": "Du hast schon ein Team geführt und aufgebaut.",
        },
        offers=(
            "Wir bieten 30 Tage Urlaub, flexible Arbeitszeiten und ein Budget für Weiterbildung.",
            "Dich erwarten kurze Wege, ein Fahrtkostenzuschuss und Zeit für eigene Ideen.",
        ),
    ),
    "fr": Phrases(
        openings=(
            "{company} recherche pour son équipe à {city} : {title}.",
            "Rejoignez {company} à {city} en tant que {title}.",
        ),
        duties=(
            "Mener de petits projets, de l'idée jusqu'au résultat",
            "Travailler au quotidien avec les équipes voisines",
            "Préparer des chiffres clairs et utiles à la décision",
            "Améliorer nos méthodes, étape par étape",
        ),
        wishes={
            "intern": "Vous êtes étudiant et disponible au moins trois mois.",
            "entry": "Vous venez d'obtenir votre diplôme ou avez une première expérience.",
            "mid": "Vous avez deux à quatre ans d'expérience.",
            "senior": "Vous avez au moins cinq ans d'expérience.",
            "lead": "Vous avez déjà dirigé une équipe.",
        },
        offers=("Télétravail partiel, titres-restaurant et budget de formation.",),
    ),
    "es": Phrases(
        openings=("{company} busca en {city}: {title}.",),
        duties=(
            "Llevar pequeños proyectos desde la idea hasta el resultado",
            "Trabajar a diario con los demás equipos",
            "Preparar datos claros para decidir mejor",
            "Mejorar nuestra forma de trabajar",
        ),
        wishes={
            "intern": "Eres estudiante y tienes al menos tres meses.",
            "entry": "Acabas de graduarte o tienes hasta un año de experiencia.",
            "mid": "Tienes de dos a cuatro años de experiencia.",
            "senior": "Tienes al menos cinco años de experiencia.",
            "lead": "Ya has dirigido un equipo.",
        },
        offers=("Ofrecemos horario flexible, formación y 25 días de vacaciones.",),
    ),
    "it": Phrases(
        openings=("{company} cerca a {city}: {title}.",),
        duties=(
            "Seguire piccoli progetti dall'idea al risultato",
            "Collaborare ogni giorno con gli altri gruppi",
            "Preparare dati chiari per decidere meglio",
            "Migliorare il nostro modo di lavorare",
        ),
        wishes={
            "intern": "Sei iscritto all'università e disponibile per almeno tre mesi.",
            "entry": "Ti sei appena laureato o hai una prima esperienza.",
            "mid": "Hai da due a quattro anni di esperienza.",
            "senior": "Hai almeno cinque anni di esperienza.",
            "lead": "Hai già guidato un gruppo.",
        },
        offers=("Offriamo orario flessibile, buoni pasto e formazione.",),
    ),
    "nl": Phrases(
        openings=("{company} zoekt in {city}: {title}.",),
        duties=(
            "Je leidt kleine projecten van idee tot resultaat",
            "Je werkt nauw samen met de andere teams",
            "Je maakt cijfers waar mensen mee kunnen beslissen",
            "Je maakt onze manier van werken elke week iets beter",
        ),
        wishes={
            "intern": "Je bent student en minstens drie maanden beschikbaar.",
            "entry": "Je bent net afgestudeerd of hebt een eerste jaar ervaring.",
            "mid": "Je hebt twee tot vier jaar ervaring.",
            "senior": "Je hebt minstens vijf jaar ervaring.",
            "lead": "Je hebt al eens een team geleid.",
        },
        offers=("Wij bieden 27 vakantiedagen, een opleidingsbudget en flexibele uren.",),
    ),
}
