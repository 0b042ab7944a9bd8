"""Names of countries, states and large cities; data only.

Names are folded: lower case, no accents, no dots, hyphens as blanks.
"""

from typing import Final

_COUNTRIES: Final = """
AD andorra|AE united arab emirates|uae|AF afghanistan|AG antigua and barbuda|AI anguilla
AL albania|AM armenia|AO angola|AR argentina|argentinien|AS american samoa
AT austria|osterreich|autriche|AU australia|australien|AW aruba|AX aland islands|AZ azerbaijan
BA bosnia and herzegovina|bosnia|BB barbados|BD bangladesh|BE belgium|belgien|belgique|belgie
BF burkina faso|BG bulgaria|bulgarien|BH bahrain|BI burundi|BJ benin|BM bermuda|BN brunei
BO bolivia|BR brazil|brasil|brasilien|BS bahamas|BT bhutan|BW botswana|BY belarus|BZ belize
CA canada|kanada|CD democratic republic of the congo|CF central african republic|CG congo
CH switzerland|schweiz|suisse|svizzera|CI ivory coast|cote d'ivoire|CL chile|CM cameroon
CN china|people's republic of china|mainland china|CO colombia|CR costa rica|CU cuba
CV cape verde|CW curacao|CY cyprus|zypern|CZ czech republic|czechia|tschechien|cesko
DE germany|deutschland|allemagne|alemania|DJ djibouti|DK denmark|danmark|danemark|DM dominica
DO dominican republic|DZ algeria|EC ecuador|EE estonia|estland|EG egypt|ER eritrea
ES spain|espana|spanien|espagne|ET ethiopia|FI finland|suomi|finnland|FJ fiji
FO faroe islands|FR france|frankreich|france, metropolitan|metropolitan france|francia
GA gabon|GB united kingdom|uk|great britain|britain|england|scotland|wales|northern ireland
GB vereinigtes konigreich|grossbritannien|royaume uni|u k|GD grenada|GE georgia
GG guernsey|GH ghana|GI gibraltar|GL greenland|GM gambia|GN guinea|GQ equatorial guinea
GR greece|griechenland|hellas|GT guatemala|GU guam|GW guinea bissau|GY guyana
HK hong kong|hong kong sar|HN honduras|HR croatia|kroatien|hrvatska|HT haiti
HU hungary|ungarn|magyarorszag|ID indonesia|indonesien|IE ireland|irland|republic of ireland|eire
IL israel|IM isle of man|IN india|indien|IQ iraq|IR iran|IS iceland|island
IT italy|italia|italien|italie|JE jersey|JM jamaica|JO jordan|JP japan|KE kenya|KG kyrgyzstan
KH cambodia|KM comoros|KN saint kitts and nevis|KP north korea
KR south korea|korea|republic of korea|KW kuwait|KY cayman islands|KZ kazakhstan
LA laos|LB lebanon|LC saint lucia|LI liechtenstein|LK sri lanka|LR liberia|LS lesotho
LT lithuania|litauen|lietuva|LU luxembourg|luxemburg|LV latvia|lettland|LY libya
MA morocco|marokko|maroc|MC monaco|MD moldova|ME montenegro|MG madagascar
MK north macedonia|macedonia|ML mali|MM myanmar|MN mongolia|MO macau|macao|MR mauritania
MT malta|MU mauritius|MV maldives|MW malawi|MX mexico|mexiko|MY malaysia|MZ mozambique
NA namibia|NE niger|NG nigeria|NI nicaragua
NL netherlands|the netherlands|holland|nederland|niederlande|pays bas|paises bajos
NO norway|norge|norwegen|NP nepal|NZ new zealand|OM oman|PA panama|PE peru
PG papua new guinea|PH philippines|the philippines|PK pakistan|PL poland|polska|polen|pologne
PR puerto rico|PS palestine|PT portugal|PY paraguay|QA qatar|RO romania|rumanien|roumanie
RS serbia|serbien|srbija|RU russia|russian federation|RW rwanda|SA saudi arabia|ksa
SB solomon islands|SC seychelles|SD sudan|SE sweden|sverige|schweden|suede|SG singapore|singapur
SI slovenia|slowenien|slovenija|SK slovakia|slowakei|slovensko|SL sierra leone|SM san marino
SN senegal|SO somalia|SR suriname|SS south sudan|SV el salvador|SY syria|SZ eswatini
TD chad|TG togo|TH thailand|TJ tajikistan|TL timor leste|TM turkmenistan|TN tunisia|TO tonga
TR turkey|turkiye|turkei|TT trinidad and tobago|TW taiwan|TZ tanzania|UA ukraine|UG uganda
US united states|usa|us|united states of america|the united states|u s a|vereinigte staaten
US etats unis|estados unidos|UY uruguay|UZ uzbekistan|VA vatican city|VE venezuela
VN vietnam|viet nam|VU vanuatu|WS samoa|XK kosovo|YE yemen|ZA south africa|sudafrika
ZM zambia|ZW zimbabwe
"""

_STATES: Final = """
al alabama|ak alaska|az arizona|ar arkansas|ca california|co colorado|ct connecticut|de delaware
dc district of columbia|dc washington dc|fl florida|ga georgia|hi hawaii|id idaho|il illinois
in indiana|ia iowa|ks kansas|ky kentucky|la louisiana|me maine|md maryland|ma massachusetts
mi michigan|mn minnesota|ms mississippi|mo missouri|mt montana|ne nebraska|nv nevada
nh new hampshire|nj new jersey|nm new mexico|ny new york|nc north carolina|nd north dakota
oh ohio|ok oklahoma|or oregon|pa pennsylvania|ri rhode island|sc south carolina|sd south dakota
tn tennessee|tx texas|ut utah|vt vermont|va virginia|wa washington|wv west virginia
wi wisconsin|wy wyoming
"""

_PROVINCES: Final = """
ab alberta|bc british columbia|mb manitoba|nb new brunswick|nl newfoundland and labrador
ns nova scotia|on ontario|pe prince edward island|qc quebec|sk saskatchewan
"""

_CITIES: Final = """
AE dubai|abu dhabi|AT vienna|wien|graz|linz|salzburg|innsbruck|AU sydney|melbourne|brisbane|perth
BE brussels|bruxelles|brussel|antwerp|antwerpen|ghent|gent|leuven|liege|BG sofia|plovdiv|varna
BR sao paulo|rio de janeiro|belo horizonte|CA toronto|vancouver|montreal|ottawa|calgary|waterloo
CH zurich|geneva|geneve|basel|bern|lausanne|zug|winterthur|CN beijing|shanghai|shenzhen
CO bogota|medellin|CY nicosia|limassol|CZ prague|praha|brno|ostrava
DE berlin|munich|munchen|hamburg|cologne|koln|frankfurt|frankfurt am main|stuttgart|dusseldorf
DE leipzig|dresden|hannover|hanover|nuremberg|nurnberg|bremen|dortmund|essen|bonn|mannheim
DE karlsruhe|heidelberg|gottingen|munster|aachen|darmstadt|potsdam|wiesbaden|bielefeld|mainz
DK copenhagen|kobenhavn|aarhus|odense|EE tallinn|tartu|EG cairo
ES madrid|barcelona|valencia|seville|sevilla|malaga|bilbao|FI helsinki|espoo|tampere
FR paris|lyon|marseille|toulouse|bordeaux|lille|nantes|nice|strasbourg|rennes|grenoble|montpellier
FR biarritz|sophia antipolis|la defense|GB london|manchester|edinburgh|glasgow|leeds|bristol
GB belfast|cardiff|liverpool|sheffield|nottingham|brighton|reading|milton keynes
GR athens|thessaloniki|HR zagreb|HU budapest|ID jakarta|IE dublin|cork|galway|limerick
IL tel aviv|tel aviv yafo|haifa|jerusalem|IN bangalore|bengaluru|mumbai|delhi|new delhi|hyderabad
IN chennai|pune|gurgaon|gurugram|noida|jaipur|kolkata
IT milan|milano|rome|roma|turin|torino|bologna|florence|firenze|naples|napoli|JP tokyo|osaka
KE nairobi|KR seoul|LT vilnius|kaunas|LU luxembourg city|LV riga|MA casablanca|MT valletta|sliema
MX mexico city|guadalajara|monterrey|MY kuala lumpur|penang|NG lagos|abuja
NL amsterdam|rotterdam|utrecht|eindhoven|the hague|den haag|delft|groningen|leiden
NO oslo|bergen|trondheim|stavanger|NZ auckland|wellington|PH manila|makati|quezon city|PK karachi
PL warsaw|warszawa|krakow|cracow|wroclaw|gdansk|poznan|lodz|katowice
PT lisbon|lisboa|porto|braga|coimbra|RO bucharest|bucuresti|cluj|cluj napoca|timisoara|iasi|brasov
RS belgrade|novi sad|SA riyadh|jeddah|SE stockholm|gothenburg|goteborg|malmo|uppsala|lund
SG singapore|SI ljubljana|SK bratislava|kosice|TH bangkok|TR istanbul|ankara|izmir|TW taipei
UA kyiv|kiev|lviv|US san francisco|new york|new york city|nyc|los angeles|chicago|boston|seattle
US austin|denver|atlanta|bellevue|miami|philadelphia|san diego|san jose|palo alto|mountain view
US houston|dallas|phoenix|brooklyn|washington dc|washington d c|santa clara|menlo park|sunnyvale
VN ho chi minh city|hanoi|ZA cape town|johannesburg
"""


def _names(table: str) -> dict[str, str]:
    """Read `CODE name|name` entries into name -> code; the code stays until the next one."""
    found: dict[str, str] = {}
    code = ""
    for entry in table.replace("\n", "|").split("|"):
        head, _, rest = entry.partition(" ")
        if len(head) == 2 and head.isupper():
            code, entry = head, rest
        if entry:
            found[entry] = code
    return found


def _codes(table: str, country: str) -> dict[str, str]:
    """Read `code name` entries into code -> country and name -> country."""
    entries = [entry.partition(" ") for entry in table.replace("\n", "|").split("|") if entry]
    return {key: country for code, _, name in entries for key in (code, name)}


COUNTRIES: Final = _names(_COUNTRIES)
"""Name -> alpha-2 code, upper case."""
STATES: Final = _codes(_STATES, "US")
"""Name or code of a state of the United States -> US."""
PROVINCES: Final = _codes(_PROVINCES, "CA")
"""Name or code of a province of Canada -> CA."""
CITIES: Final = _names(_CITIES)
"""Large city -> the country that it is in when nothing else is said."""
