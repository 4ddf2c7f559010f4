import {
  Create,
  DataTable,
  DateField,
  DeleteButton,
  Edit,
  List,
  SaveButton,
  SimpleForm,
  TextInput,
  Toolbar,
} from "react-admin";

export const CategoryList = () => (
  <List sort={{ field: "name", order: "ASC" }} exporter={false}>
    <DataTable bulkActionButtons={false}>
      <DataTable.Col source="name" />
      <DataTable.Col source="description" />
      <DataTable.NumberCol source="product_count" label="On sale" />
      <DataTable.Col source="created_at" field={DateField} />
    </DataTable>
  </List>
);

const fields = [<TextInput key="name" source="name" />, <TextInput key="description" source="description" multiline />];

export const CategoryCreate = () => (
  <Create redirect="list">
    <SimpleForm>{fields}</SimpleForm>
  </Create>
);

const Save = () => (
  <Toolbar sx={{ justifyContent: "space-between" }}>
    <SaveButton />
    <DeleteButton mutationMode="pessimistic" />
  </Toolbar>
);

/** Of two who change a category at once, the last one wins: the API has no ETag for categories. */
export const CategoryEdit = () => (
  <Edit mutationMode="pessimistic">
    <SimpleForm toolbar={<Save />}>{fields}</SimpleForm>
  </Edit>
);
