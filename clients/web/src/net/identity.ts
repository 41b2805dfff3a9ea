/** The person's Ed25519 signing keys, one for each role they take here: made once, kept in IndexedDB, never extractable.
 *
 * A key is a person to the house, and a person is in one place: so the clinician's tab and the patient's tab of one
 * browser are two people. Owns nothing else of the person. */

import type { Bytes } from "../bytes";

const DATABASE = "asclepion";
const STORE = "keys";
const rowOf = (role: string): string => `signing-key/${role}`;

/** One's own key: the raw public half, and signing with the other. */
export interface Identity {
  publicKey: Bytes;
  sign(message: Bytes): Promise<Bytes>;
}

/** This browser cannot hold a key; the message is for people. */
export class IdentityError extends Error {}

/** The key of this browser for a role, made at the first call. */
export async function loadIdentity(role: string): Promise<Identity> {
  if (!globalThis.isSecureContext) throw new IdentityError("This page needs https (or localhost): only there may a browser hold a signing key.");
  const pair = (await stored(role)) ?? (await make(role));
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const sign = async (message: Bytes): Promise<Bytes> => new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, message));
  return { publicKey, sign };
}

async function make(role: string): Promise<CryptoKeyPair> {
  let pair: CryptoKeyPair;
  try {
    pair = (await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"])) as CryptoKeyPair;
  } catch {
    throw new IdentityError("This browser does not know Ed25519 signatures: please use a newer one.");
  }
  await request("readwrite", (store) => store.put(pair, rowOf(role)));
  return pair;
}

async function stored(role: string): Promise<CryptoKeyPair | undefined> {
  return (await request("readonly", (store) => store.get(rowOf(role)))) as CryptoKeyPair | undefined;
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(new IdentityError("This browser does not let the page keep a key (private window?)."));
  });
}

async function request(mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest): Promise<unknown> {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const asked = ask(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(asked.result);
      transaction.onabort = () => reject(new IdentityError("This browser could not keep the signing key."));
    });
  } finally {
    database.close();
  }
}
