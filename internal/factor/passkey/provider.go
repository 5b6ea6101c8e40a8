package passkey

import (
	"slices"
	"strings"

	"github.com/google/uuid"

	"sallyport/internal/web"
)

// called is the name of a passkey that its person did not name (P2): by its provider, else by browser and system.
func (k passkey) called(agent string) string {
	name := provider(k.aaguid)
	switch {
	case name != "":
		return name
	case agent == "":
		return "Passkey"
	case k.icon() == "hardware": // made here, but not of this computer
		return "Security key, " + web.BrowserName(agent)
	}
	return web.BrowserName(agent)
}

// provider is who keeps a passkey, as people know it, or "". An authenticator may claim to be any, so nothing but words
// depends on it. Source: https://github.com/passkeydeveloper/passkey-authenticator-aaguids and the makers' own lists.
func provider(aaguid []byte) string {
	id, err := uuid.FromBytes(aaguid)
	if err != nil {
		return ""
	}
	return providers[id.String()]
}

var providers = map[string]string{
	"fbfc3007-154e-4ecc-8c0b-6e020557d7bd": "Apple Passwords",
	"dd4ec289-e01d-41c9-bb89-70fa845d4bf2": "iCloud Keychain",
	"ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4": "Google Password Manager",
	"08987058-cadc-4b81-b6e1-30de50dcbe96": "Windows Hello",
	"9ddd1817-af5a-4672-a2b9-3e3dd95000a9": "Windows Hello",
	"6028b017-b1d4-4c02-b4b3-afcdafc96bb2": "Windows Hello",
	"d3452668-01fd-4c12-926c-83a4204853aa": "Microsoft Password Manager",
	"53414d53-554e-4700-0000-000000000000": "Samsung Pass",
	"adce0002-35bc-c60a-648b-0b25f1f05503": "Chrome on Mac",
	"b5397666-4885-aa6b-cebf-e52262a439a2": "Chromium",
	"771b48fd-d3d4-4f74-9232-fc157ab0507a": "Edge on Mac",
	"bada5566-a7aa-401f-bd96-45619a55120d": "1Password",
	"d548826e-79b4-db40-a3d8-11116f7e8349": "Bitwarden",
	"531126d6-e717-415c-9320-3d9aa6981239": "Dashlane",
	"f3809540-7f14-49c1-a8b3-8f813b225541": "Enpass",
	"0ea242b4-43c4-4a1b-8b17-dd6d0b6baec6": "Keeper",
	"eaecdef2-1c31-5634-8639-f1cbd9c00a08": "KeePassDX",
	"fdb141b2-5d84-443e-8a35-4698c205a502": "KeePassXC",
	"b78a0a55-6ef8-d246-a042-ba0f6d55050c": "LastPass",
	"b84e4048-15dc-4dd0-8640-f4f60813c8af": "NordPass",
	"fa37f553-f9b6-4adb-ac53-8bbb57ebdf0d": "Norton Password Manager",
	"50726f74-6f6e-5061-7373-50726f746f6e": "Proton Pass",
	"b35a26b2-8f6e-4697-ab1d-d44db4da28c6": "Zoho Vault",
	"cb69481e-8ff7-4039-93ec-0a2729a154a8": "YubiKey 5",
	"ee882879-721c-4913-9775-3dfcce97072a": "YubiKey 5",
	"2fc0579f-8113-47ea-b116-bb5a8db9202a": "YubiKey 5 NFC",
	"fa2b99dc-9e39-4257-8f92-4a30d23c4118": "YubiKey 5 NFC",
	"c5ef55ff-ad9a-4b9f-b580-adebafe026d0": "YubiKey 5Ci",
	"f8a011f3-8c0a-4d15-8006-17111f9edc7d": "Security Key by Yubico",
	"6d44ba9b-f6ec-2e49-b930-0c8fe920cb73": "Security Key by Yubico",
}

// icon is what a passkey lives in: a key on a ring, a phone, or a computer.
func (k passkey) icon() string {
	speaks := strings.Split(k.transports, ",")
	switch {
	case slices.Contains(speaks, "internal") && slices.Contains(speaks, "hybrid"):
		return "mobile"
	case slices.Contains(speaks, "internal"), k.transports == "":
		return "laptop"
	}
	return "hardware"
}
