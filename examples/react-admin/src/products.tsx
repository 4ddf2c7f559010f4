import { Alert, Button as MuiButton } from "@mui/material";
import { useState } from "react";
import {
  AutocompleteInput,
  BooleanInput,
  Button,
  Create,
  CreateButton,
  DataTable,
  DateField,
  DeleteButton,
  Edit,
  FilterButton,
  type HttpError,
  List,
  NumberInput,
  ReferenceInput,
  required,
  SaveButton,
  SearchInput,
  SimpleForm,
  TextInput,
  Toolbar,
  TopToolbar,
  useEditContext,
  useNotify,
  useRecordContext,
  useRedirect,
} from "react-admin";
import { Link } from "react-router-dom";
import { MONEY } from "./about";
import { exportProducts, moveStock } from "./actions";
import { AskButton, DownloadButton } from "./ask";
import { FIELDS, type Product } from "./dataProvider";

const category = (
  <ReferenceInput
    key="category"
    source="category_id"
    reference="categories"
    perPage={1000}
    sort={{ field: "name", order: "ASC" }}
  >
    <AutocompleteInput label="Category" filterToQuery={() => ({})} />
  </ReferenceInput>
);
const filters = [
  <SearchInput key="search" source="search" alwaysOn />,
  category,
  <BooleanInput key="in_stock" source="in_stock" label="In stock" defaultValue={true} />,
  <NumberInput key="min_price" source="min_price" label="Price from" />,
  <NumberInput key="max_price" source="max_price" label="Price up to" />,
];
const columns = (sorts: boolean) => [
  <DataTable.Col key="name" source="name" disableSort={!sorts} />,
  <DataTable.Col key="category" source="category_name" label="Category" disableSort />,
  <DataTable.NumberCol key="price" source="price" options={MONEY} disableSort={!sorts} />,
  <DataTable.NumberCol key="stock" source="stock_quantity" label="In stock" disableSort />,
  <DataTable.Col key="created" source="created_at" label="Added" field={DateField} disableSort={!sorts} />,
];

const ListActions = () => (
  <TopToolbar>
    <FilterButton />
    <CreateButton />
    <Button label="Import" component={Link} to="/products/import" />
    <DownloadButton label="Export" file="products.csv" ask={exportProducts} />
  </TopToolbar>
);

export const ProductList = () => (
  <List filters={filters} actions={<ListActions />} sort={{ field: "created_at", order: "DESC" }} empty={false}>
    <DataTable bulkActionButtons={false}>{columns(true)}</DataTable>
  </List>
);

export const WithdrawnList = () => (
  <List title="Withdrawn products" exporter={false} empty={false}>
    <DataTable bulkActionButtons={false} rowClick={(id) => `/products/${id}`}>
      {columns(false)}
    </DataTable>
  </List>
);

const fields = [
  <TextInput key="name" source="name" validate={required()} />,
  <TextInput key="description" source="description" multiline minRows={2} />,
  <NumberInput key="price" source="price" validate={required()} />,
  category,
  <TextInput key="image_url" source="image_url" label="Picture" />,
  <BooleanInput key="is_active" source="is_active" label="On sale" defaultValue={true} />,
];

export const ProductCreate = () => (
  <Create redirect="list">
    <SimpleForm>
      {fields}
      <NumberInput source="stock_quantity" label="In stock" defaultValue={0} />
    </SimpleForm>
  </Create>
);

const EditActions = () => {
  const product = useRecordContext<Product>();
  if (!product) return null;
  const move = async ({ change }: { change: number }, key: string) =>
    `${(await moveStock(product.id, change, key)).stock_quantity} in stock now.`;
  return (
    <TopToolbar sx={{ alignItems: "center" }}>
      <span>{product.stock_quantity} in stock</span>
      <AskButton label="Move stock" title="How many more, or with a minus how many fewer?" act={move}>
        <NumberInput source="change" label="Pieces" autoFocus />
      </AskButton>
    </TopToolbar>
  );
};

/** Says what somebody else has changed meanwhile. It is loaded on demand; what was typed here stays. */
function TheirChanges({ theirs, onLoaded }: { theirs: Product; onLoaded: () => void }) {
  const { record, refetch } = useEditContext<Product>();
  const load = () => void refetch().then(onLoaded);
  return (
    <Alert
      severity="warning"
      action={
        <MuiButton color="inherit" onClick={load}>
          Load it
        </MuiButton>
      }
    >
      Somebody else changed this product meanwhile. Nothing was saved.
      <ul>
        {FIELDS.filter((name) => record && record[name] !== theirs[name]).map((name) => (
          <li key={name}>
            {name}: {String(record?.[name])} → {String(theirs[name])}
          </li>
        ))}
      </ul>
      Load it, look, and save again: fields that you have typed into stay as you have them.
    </Alert>
  );
}

export function ProductEdit() {
  const notify = useNotify();
  const redirect = useRedirect();
  const [theirs, setTheirs] = useState<Product>();
  const onError = (error: unknown) => {
    const { body, message, status } = error as HttpError;
    if (status === 412) setTheirs(body.now);
    else if (!body?.errors) notify(message, { type: "error" });
  };
  const onSuccess = () => {
    notify("The product is on sale no more.", { type: "success" });
    redirect("list", "products");
  };
  const toolbar = (
    <Toolbar sx={{ justifyContent: "space-between" }}>
      <SaveButton />
      <DeleteButton
        label="Withdraw"
        confirmTitle="Withdraw this product?"
        confirmContent="It is on sale no more. Nothing is deleted: you find it among the withdrawn products."
        mutationMode="pessimistic"
        mutationOptions={{ onError, onSuccess }}
      />
    </Toolbar>
  );
  return (
    <Edit actions={<EditActions />} mutationMode="pessimistic" mutationOptions={{ onError }}>
      <>
        {theirs && <TheirChanges theirs={theirs} onLoaded={() => setTheirs(undefined)} />}
        <SimpleForm toolbar={toolbar} resetOptions={{ keepDirtyValues: true }}>
          {fields}
        </SimpleForm>
      </>
    </Edit>
  );
}
