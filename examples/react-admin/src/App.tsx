import { QueryClient } from "@tanstack/react-query";
import { Admin, type HttpError, localStorageStore, Resource } from "react-admin";
import { Route } from "react-router-dom";
import { about } from "./about";
import { authProvider } from "./authProvider";
import { CategoryCreate, CategoryEdit, CategoryList } from "./categories";
import { dataProvider } from "./dataProvider";
import { Import } from "./import";
import { OrderList, OrderShow } from "./orders";
import { ProductCreate, ProductEdit, ProductList, WithdrawnList } from "./products";

/** What is refused is refused again: only where the shop broke down or is out of reach, a request is repeated. */
const retry = (tries: number, error: Error) => tries < 3 && !((error as HttpError).status < 500);
const queryClient = new QueryClient({ defaultOptions: { queries: { retry } } });

export const App = () => (
  <Admin
    title={`${about.name}: back office`}
    dataProvider={dataProvider}
    authProvider={authProvider}
    queryClient={queryClient}
    store={localStorageStore("1", "bodega-back-office")}
    requireAuth
    disableTelemetry
  >
    <Resource name="products" list={ProductList} edit={ProductEdit} create={ProductCreate} recordRepresentation="name">
      <Route path="import" element={<Import />} />
    </Resource>
    <Resource name="withdrawn" options={{ label: "Withdrawn products" }} list={WithdrawnList} />
    <Resource
      name="categories"
      list={CategoryList}
      edit={CategoryEdit}
      create={CategoryCreate}
      recordRepresentation="name"
    />
    <Resource name="orders" list={OrderList} show={OrderShow} recordRepresentation="number" />
  </Admin>
);
