// Who may come in: administrators of the shop. `python3 server.py admin NAME` makes one.

import { type AuthProvider, HttpError } from "react-admin";
import { given, login, shop } from "./shop";

export const authProvider: AuthProvider = {
  async login({ username, password }: { username: string; password: string }) {
    const body = username.includes("@") ? { email: username, password } : { username, password };
    const made = given(await shop.POST("/api/users/login", { body }));
    login.set(made);
    if (made.user.role === "admin") return;
    await this.logout({});
    throw new HttpError("This account is no administrator's.", 403);
  },

  async logout() {
    const known = login.get();
    try {
      if (known) await shop.POST("/api/users/logout");
    } finally {
      login.forget();
    }
  },

  async checkAuth() {
    const known = login.get();
    if (!known || Date.parse(known.expires_at) < Date.now()) throw { message: false }; // no more than the form
  },

  /** A token that is dead logs out; what an administrator may not do is only told. */
  async checkError(error: HttpError) {
    if (error.status === 401) throw new Error("The login has ended. Log in again, please.");
  },

  async getIdentity() {
    const user = login.get()?.user;
    return { id: user?.id ?? 0, fullName: user?.username ?? "" };
  },
};
