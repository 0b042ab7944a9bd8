"""A cheap guess at the language of a text, for ranking only; it never excludes a posting."""

from typing import Final

from jobping.core.words import Line

_MARKERS: Final = {
    code: frozenset(words.split(","))
    for code, words in {
        "en": "the,and,with,for,you,our,are,will,this,have,your,that,from,work",
        "de": "und,der,die,mit,fur,wir,eine,einen,oder,auf,dich,deine,ihre,bei,unser,sie,von,zu",
        "fr": "les,des,une,pour,avec,dans,vous,nous,est,sur,votre,notre,aux,par,qui,et,nos",
        "es": "los,las,una,para,con,que,por,del,tu,experiencia,nuestro,nuestra,como,sus,y,el",
        "it": "gli,una,per,con,che,del,della,nel,sono,nostro,nostra,alla,delle,il,di",
        "nl": "het,een,van,met,voor,jij,wij,ons,zijn,naar,deze,jouw,bent,hebt,je",
        "pt": "uma,para,com,que,dos,das,voce,nossa,nosso,seu,sua,mais,os,nao,em",
        "pl": "oraz,w,na,do,dla,jest,praca,nasz,nasze,pracy,sie,lub,ktore,z",
        "sv": "och,att,som,med,for,ar,vi,du,har,till,inom,hos,av",
        "da": "og,til,med,som,vi,du,af,pa,har,er,vores,dig,din",
        "fi": "ja,on,tai,ovat,sinun,sinulla,meilla,tyo,kanssa,myos,seka",
        "cs": "a,v,na,se,pro,jsme,nebo,prace,nase,pri,jako",
        "ro": "si,pentru,cu,din,este,sau,noastra,care,prin,sunt",
    }.items()
}
"""Short frequent words, folded."""
_LEAST: Final = 5


def guess_language(line: Line) -> str | None:
    """Return the ISO 639-1 code of a text's language, or None where it is not clear."""
    counts = sorted(
        ((len(markers & line.words), code) for code, markers in _MARKERS.items()), reverse=True
    )
    (best, code), (second, _) = counts[0], counts[1]
    return code if best >= _LEAST and best >= second + 3 else None
