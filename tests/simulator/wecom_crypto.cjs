// Reads {deed, …} from standard input, does it with WeCom's own library and prints the result as JSON.
const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");

const { decrypt, encrypt, getSignature } = createRequire(process.argv[2])("@wecom/crypto");
const deeds = {
  open: ({ token, key, timestamp, nonce, encrypted }) => ({
    signature: getSignature(token, timestamp, nonce, encrypted),
    ...decrypt(key, encrypted),
  }),
  seal: ({ token, key, timestamp, nonce, message, id }) => {
    const encrypted = encrypt(key, message, id);
    return { encrypted, signature: getSignature(token, timestamp, nonce, encrypted) };
  },
};
const { deed, ...given } = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(deeds[deed](given)));
