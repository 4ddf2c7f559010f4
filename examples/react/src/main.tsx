// The frame of all pages, and the account.
import { onlineManager, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode, useState, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import { Link, Route, Switch, useLocation } from "wouter";
import { CartPage, OrderPage } from "./cart";
import { Catalogue, ProductPage } from "./catalogue";
import { Form, Heading, type Value } from "./parts";
import { api, become, becomeGuest, queries, stored, useCart, useShop, useStored } from "./shop";

function App() {
  const { shop } = useShop();
  const { query } = useCart();
  const isKnown = !!useStored("token");
  const me = api.useQuery("get", "/api/users/me", {}, { enabled: isKnown }).data?.data;
  const logOut = api.useMutation("post", "/api/users/logout", { onSettled: () => (becomeGuest(), queries.clear()) });
  const isOnline = useSyncExternalStore(onlineManager.subscribe, () => onlineManager.isOnline());
  return (
    <>
      <header>
        <Link href="/">{shop?.name ?? "Shop"}</Link>
        {isKnown && <button onClick={() => logOut.mutate({})}>Log out {me?.username}</button>}
        {!isKnown && <Link href="/account">Log in</Link>}
        <Link href="/cart">Cart ({query.data?.data.item_count ?? 0})</Link>
      </header>
      <main>
        <p role="status">{!isOnline && "You are offline. What is shown may be old."}</p>
        <Switch>
          <Route path="/" component={Catalogue} />
          <Route path="/products/:id">{({ id }) => <ProductPage key={id} id={Number(id)} />}</Route>
          <Route path="/cart" component={CartPage} />
          <Route path="/orders/:number">{({ number }) => <OrderPage number={number} />}</Route>
          <Route path="/account" component={Account} />
          <Route><Heading>There is nothing here</Heading></Route>
        </Switch>
      </main>
    </>
  );
}

const LOGIN = {
  username: { label: "User name", autoComplete: "username" },
  password: { label: "Password", type: "password", autoComplete: "current-password" },
};
const ACCOUNT = { ...LOGIN, email: { label: "E-mail", type: "email", autoComplete: "email" } };

function Account() {
  const [, navigate] = useLocation();
  const [isNew, setNew] = useState(false);
  const register = api.useMutation("post", "/api/users/register");
  const logIn = api.useMutation("post", "/api/users/login", {
    onSuccess({ data: { cart, token } }) {
      become(cart?.session_id ?? stored("session"), token);
      navigate("/cart");
    },
  });
  function send(value: Value) {
    const [username, password, session_id] = [value("username"), value("password"), stored("session")];
    const enter = () => logIn.mutate({ body: { username, password, session_id } });
    if (!isNew) return enter();
    const onSuccess = () => (setNew(false), enter());
    register.mutate({ body: { username, password, email: value("email") } }, { onSuccess });
  }
  return (
    <>
      <Heading>Your account</Heading>
      {isNew
        ? <Form fields={ACCOUNT} action="Register" of={register} onSend={send} />
        : <Form fields={LOGIN} action="Log in" of={logIn} onSend={send} />}
      <button onClick={() => setNew(!isNew)}>{isNew ? "I have an account" : "I am new here"}</button>
    </>
  );
}

const app = <StrictMode><QueryClientProvider client={queries}><App /></QueryClientProvider></StrictMode>;
createRoot(document.getElementById("root") ?? document.body).render(app);
