"""JSON Web Signature, RFC 7515: the examples of appendix A, and what appendix E wants refused."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers, RSAPublicNumbers

from tokenward.jose.algorithms import signer
from tokenward.jose.jws import InvalidToken, decode, encode, parse
from tokenward.jose.jwt import Expected, verify
from tokenward.jose.keys import KeySet, VerifyingKey

PAYLOAD = (
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)
CLAIMS = {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
JOE = Expected(issuer="joe", audience=None)

HS256 = (
    f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}"
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
SECRET = {
    "kty": "oct",
    "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
}
RSA = {
    "kty": "RSA",
    "n": (
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0"
        "Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXnd"
        "S5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5Ihl"
        "JH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
    ),
    "e": "AQAB",
}
RSA_SECRET = {
    "d": (
        "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2"
        "NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X"
        "0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGU"
        "l_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ"
    ),
    "p": (
        "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_P"
        "y5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc"
    ),
    "q": (
        "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeL"
        "QeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc"
    ),
    "dp": (
        "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKn"
        "u1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0"
    ),
    "dq": (
        "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0"
        "ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU"
    ),
    "qi": (
        "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5c"
        "Y7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U"
    ),
}
RS256 = (
    f"eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5ju"
    "jGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07"
    "Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipU"
    "TI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
EC = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
ES256 = (
    f"eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
EC521 = {
    "kty": "EC",
    "crv": "P-521",
    "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
    "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
}
ES512 = (
    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA."
    "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaS"
    "wFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
)


@pytest.mark.parametrize(("token", "jwk"), [(RS256, RSA), (ES256, EC)], ids=["A.2", "A.3"])
def test_the_example_is_believed(token, jwk):
    keys = KeySet.parse({"keys": [jwk]})
    assert verify(token, keys, JOE, now=1300819379) == CLAIMS
    assert parse(token).signed.decode() == token.rpartition(".")[0]


def test_a4_is_a_signature_of_something_that_is_no_json():
    compact = parse(ES512)
    assert compact.payload == b"Payload"
    key = VerifyingKey.from_jwk(EC521)
    assert key.algorithm == "ES512"
    assert key.verify(compact.signed, compact.signature)
    with pytest.raises(InvalidToken, match=r"^payload: not JSON"):
        verify(ES512, KeySet((key,)), JOE, now=0)


def test_a2_is_signed_to_the_same_bytes():
    whole = {
        name: int.from_bytes(decode(v), "big")
        for name, v in (RSA | RSA_SECRET).items()
        if name != "kty"
    }
    private = RSAPrivateNumbers(
        p=whole["p"],
        q=whole["q"],
        d=whole["d"],
        dmp1=whole["dp"],
        dmq1=whole["dq"],
        iqmp=whole["qi"],
        public_numbers=RSAPublicNumbers(whole["e"], whole["n"]),
    ).private_key()
    signed, _, signature = RS256.rpartition(".")
    assert encode(signer("RS256", private)(signed.encode())) == signature


def test_a1_is_refused_because_its_key_would_be_shared():
    assert parse(HS256).header == {"typ": "JWT", "alg": "HS256"}
    assert KeySet.parse({"keys": [SECRET]}).keys == ()
    with pytest.raises(InvalidToken, match="alg is not allowed"):
        verify(HS256, KeySet.parse({"keys": [SECRET, EC]}), JOE, now=1300819379)


def test_a5_is_refused_because_it_is_not_signed():
    token = f"eyJhbGciOiJub25lIn0.{PAYLOAD}."
    assert parse(token).header == {"alg": "none"}
    with pytest.raises(InvalidToken, match="alg is not allowed"):
        verify(token, KeySet.parse({"keys": [EC]}), JOE, now=1300819379)


@pytest.mark.parametrize("form", ["general", "flattened"])
def test_a6_and_a7_are_refused_because_only_the_compact_form_is_read(form):
    header, payload, signature = ES256.split(".")
    one = {"protected": header, "header": {"kid": "e9bc097a"}, "signature": signature}
    value = {"payload": payload, **({"signatures": [one]} if form == "general" else one)}
    with pytest.raises(InvalidToken):
        parse(json.dumps(value))


def test_appendix_c_on_base64url():
    data = bytes([3, 236, 255, 224, 193])
    assert encode(data) == "A-z_4ME"
    assert decode("A-z_4ME") == data


def test_appendix_e_an_extension_nobody_knows_is_refused():
    token = (
        "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERU"
        "ZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9VTkRFRklORUQiOnRydWUNCn0.RkFJTA."
    )
    with pytest.raises(InvalidToken, match="crit is not understood"):
        parse(token)
